"""What all tabs of one server share.

resources  the store, the workers, which tabs are open
images     the images of experiments: looked at, read, and shown
"""
