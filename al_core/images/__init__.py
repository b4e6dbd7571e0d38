"""Images of a source as one array, to learn from and to measure with.

dataset        ImageSet and Dataset
dataset_cache  load(), with its cache
cache_files    what lies in that cache: a source is decoded into it
earlier        the rows of an earlier cache, where files have changed
near_copies    which images nearly show the same, and what of them may measure
split          which images train and which measure; copies lie on one side
streaming      images as an encoder takes them, decoded when it does
outline        the images by their names alone, before any is decoded
survey         what a source holds, before it is decoded
"""
