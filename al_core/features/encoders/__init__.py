"""Encoders: a picture in, an embedding out.

catalogue     the ones that are offered, each with its licence and its cost
encoder       what an encoder is: weights, the square it takes, a network
find          the encoder of a name, wherever its weights come from
timm_weights  any network of timm, from a hub or a file
fast          the same network in fewer passes over memory
"""
