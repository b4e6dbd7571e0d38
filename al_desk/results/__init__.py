"""What the rounds have given.

headline         numbers on top of the page
tabs             all the others, in tabs
rounds_table     as a table, and what it was measured on
stopping         when to stop
random_baseline  as many random labels
mistakes         classes, confusion, test images that are got wrong
pool_map         the pool in two dimensions
pretraining      where the features come from
compare          experiments and simulations side by side
curve_choice     which of them
"""
