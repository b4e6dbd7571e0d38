"""A round, and the batch after it.

round       train, evaluate, score
scoring     the pool, as exactly as a strategy needs it
cold_start  what is known before any label
query       choosing a batch, and the reasons why
advance     a round into the log, and the batch after it
replay      each batch again from the log, as it was chosen
speed       what a round takes on this machine
"""
