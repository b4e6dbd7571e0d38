"""The loop without a person; the random baseline.

annotators       who answers: the truth, or labels in a file
simulate         one experiment
results          what simulations gave, on disk
runner           many, side by side, going on where they stopped
random_baseline  as many random labels as an experiment has
"""
