"""Import and export of labels and images, in formats that other programs read.

labels  labels as CSV, out and in
images  images in a folder per class, or as parquet
"""
