"""What learns: networks and linear heads, and how right they are.

hardware         the device, its dtype, its memory
cuda_graph       work on a GPU, launched at once
network          ResNet-18, two stems
convolution      its 3x3 convolutions, without the padding
fast_inference   a trained one, fast
training         fit()
prediction       predict()
metrics          how right it is, and where it is wrong
linear_heads     heads on embeddings: one, a committee, a temperature
neighbours       the labelled rows most alike
weights          to start from, and those of each round, on disk
learned_weights  where those lie that were learned from a pool
"""
