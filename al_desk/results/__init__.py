"""What the rounds have given.

headline         the numbers at the top of the page
tabs             everything else, in tabs
rounds_table     the rounds as a table, and what they were measured on
stopping         when to stop
random_baseline  the same number of labels, chosen at random
mistakes         classes, confusion, images that the model gets wrong
pool_map         the pool in two dimensions
compare          experiments and simulations side by side
curve_choice     which of them
"""
