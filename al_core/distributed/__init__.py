"""Work too large for one machine or its memory: image shards, Ray.

image_shards    any number of images, some files at a time
embedding_pool  a pool of embeddings in many files
streamed_round  a round over it, file by file
batch_images    the pictures of its batch, as a file that the desk opens
ray_cluster     a Ray cluster, and ``map`` on it
embed           computing features on a cluster
simulate        simulations on a cluster
"""
