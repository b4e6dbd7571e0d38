"""The loop without a person; the random baseline.

simulate         one experiment, and who labels in place of a person
on_disk          simulations on disk: begun, gone on with, read as curves
runner           many, side by side, resuming where they stopped
random_baseline  as many random labels as an experiment has
"""
