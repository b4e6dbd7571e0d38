"""What the rounds have given.

headline         the numbers at the top of the page
measures         which measure leads, what it was measured on
tabs             everything else, in tabs
rounds           the rounds as a table
stopping         when to stop
random_baseline  the same number of labels, chosen at random
mistakes         classes, confusion, images that the model gets wrong
pool_map         the pool in two dimensions
encoders         which encoder, and switching to another
compare          experiments and simulations side by side
curve_choice     the choice of them
"""
