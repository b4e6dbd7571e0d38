"""Where images come from: listed and read, and not decoded.

sources        finding a source by name or path
content        the pictures of a source, before any is decoded
listing        what lies in a folder, and what of it is left out
formats        which formats of pictures are read
folder         a folder of images: splits and classes
split_words    the split that a name speaks of
label_tables   metadata.csv and metadata.jsonl beside images
archive        a .zip of a folder
uploads        pictures that somebody uploads
cifar10        CIFAR-10, downloaded or from a path
parquet        images in the rows of parquet and Arrow files
tables         opening such a file
columns        which of its columns hold images and labels
"""
