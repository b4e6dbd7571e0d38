"""Networks that others trained, as encoders of images.

fast        the same network for inference only, in fewer passes over memory
graph       what a network computes, as a graph of its operations
fusing      which operations of that graph become one
fused       what they become: products together with what follows them
shortening  what else can be left out
"""
