"""Work too large for one machine or its memory: image shards, Ray.

image_shards    any number of images, some files at a time, and a batch of them as a file
embedding_pool  a pool of embeddings in many files
streamed_round  a round over it, file by file
ray_cluster     a Ray cluster, and ``map`` on it
embed           computing features on a cluster
simulate        simulations on a cluster
"""
