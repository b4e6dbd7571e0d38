"""Embeddings that need no label, computed once and kept; learned from images alone.

read             Features, out of files
embed            those of some weights, computed
embedding_files  features by the digest of their image, in files that grow in number
pretrain         a network learns from images alone
objectives       what it is to learn: EMP-SSL, SimCLR
augmentations    the views of an image it learns from
"""
