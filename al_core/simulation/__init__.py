"""The loop without a person; the random baseline.

annotators       simulated annotators: the truth, or labels from a file
simulate         one experiment
results          the results of simulations, on disk
runner           many, side by side, resuming where they stopped
random_baseline  as many random labels as an experiment has
"""
