"""What all tabs of one server share.

resources  the store, the workers, which tabs are open
rounds     what is trained in the background: names, and a head fitted while a batch is labelled
images     the images of experiments: looked at, read, and shown
"""
