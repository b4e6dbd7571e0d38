"""What lies on the disk, and for whom: shown, cleaned, deleted for good.

kept     everything below AL_HOME, what it takes, and which experiments use it
sources  which decoded images are those of an experiment, and what of it can be read now
clean    removing what nobody uses, or what can be computed again, down to a limit
forget   removing an experiment with all that is its own
"""
