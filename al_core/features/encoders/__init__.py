"""Encoders: a picture in, an embedding out.

catalogue          the ones that are offered, each with its licence and its cost
encoder            what an encoder is: weights, the square it takes, a network
find               the encoder of a name, wherever its weights come from
timm_weights       any network of timm, from a hub or a file
open_clip_weights  towers of open_clip, for images and for words
weights_file       a file of weights: from a hub, its digest
fast               the same network for inference only, in fewer passes over memory
graph              what a network computes, as a graph of its operations
fusing             which operations of that graph become one
fused              what they become: products together with what follows them
shortening         what else can be left out
"""
