"""What all tabs of one server share.

resources           the store, the workers, the images, who is here
garbage_collection  what Python's collector need not look at after each label
"""
