"""Labels and images out and in, in the formats others read.

labels  labels as CSV, out and in
images  images by class, or as parquet
"""
