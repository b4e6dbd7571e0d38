"""A round, and the batch after it.

round              train, evaluate, score
learners           what a round trains: a network or a linear head, calibrated
scoring            predictions for the pool, as exact as a strategy needs them
cold_start         what is known before any label
query              choosing a batch, and the reasons why
next_batch         the batch that follows from predictions and the log
advance            writing a round to the log, and choosing the batch after it
replay             choosing each batch of a log again
features           what a round learns from: all features, or those there so far
embed_rest         embedding the others, behind whoever labels
labels_so_far      the labels to train on, dealt into folds
encoders_compared  which encoder, by cross-validation on those
measured_anew      rounds by the classes as they are now
search             finding images by words, or by a picture
kinds              an order in which what looks alike stands together
speed              how long a round takes on this machine
"""
