"""Embeddings that need no labels, computed once and kept; learning them from images alone.

encoders         pictures to embeddings: timm's and open_clip's networks, ResNet-18, files
config           the settings of learning them
read             Features, read from files
words            class names as a classifier
embed            computing those of an encoder
lanes            each core by itself
growing          those of them that are there so far
embedding_files  embeddings by the digest of their image, in any number of files
pretrain         learning from images alone
learner          the network that learns, and a step of it
objectives       the losses it uses: EMP-SSL, SimCLR
augmentations    the views of an image it learns from
"""
