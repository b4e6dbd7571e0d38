"""Images of a source, decoded and cached.

dataset        ImageSet and Dataset
dataset_cache  load(), with its cache
sources        finding a source by name or path
folder         a folder of images
cifar10        CIFAR-10, downloaded or from a path
parquet        images in parquet files
decoding       pictures to pixels of one size
"""
