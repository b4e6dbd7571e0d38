"""What all tabs of one server share.

resources  the store, the workers, which tabs are open
rounds     what is trained in the background: names, and a head fitted while a batch is labelled
encoders   which encoders can be had here, and how fast they would embed
settings   what somebody changes of an experiment, once its weights are known to be there
images     the images of experiments: looked at, read, and shown
"""
