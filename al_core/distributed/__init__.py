"""What one machine's memory, or one machine, does not hold: image shards, Ray.

image_shards    images of any number, some files at a time
embedding_pool  a pool of embeddings in many files
streamed_round  a round over it, file by file
batch_images    the pictures of its batch, as a file that the desk opens
ray_cluster     a Ray cluster, and ``map`` on it
embed           features of images, by a cluster
simulate        simulations, by a cluster
"""
