"""The models: networks and linear heads, and how right they are.

hardware         the device, its dtype, its memory
cuda_graph       GPU work captured as one graph
network          ResNet-18 with a choice of two stems
convolution      its 3x3 convolutions, without the padding
fast_inference   a trained network, made fast
training         fit()
class_weights    labels of rare classes count for more
prediction       predict()
metrics          how right predictions are, and where they are wrong
paired           whether one is right more often than another
linear_heads     heads on embeddings: one, a committee, a temperature
speed            how fast this machine multiplies matrices
neighbours       the most similar labelled rows
weights          initial weights, and those of each round, on disk
learned_weights  where the weights learned from a pool are kept
"""
