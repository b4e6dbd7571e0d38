"""What all tabs of one server share.

resources  the store, the workers, the images, which tabs are open
"""
