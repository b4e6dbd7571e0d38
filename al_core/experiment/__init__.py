"""One experiment: the log folded into a pool and a phase, and who labels which batch.

experiment   the fold: an experiment is its log
settings     those that are changed while it runs
start        how one begins; its held-out images
manifest     which image stands at which position, folded
listed       the images of a source, as a manifest tells of them
compare      what has changed in a source since
changes      what has happened to images, in words
source       the images of an experiment at its positions; writing down what has changed
later        images that came later, and drawing from them to measure with
former       the manifest of an experiment from before there were any
moved        a source at a new path
classes      classes, folded from what people did with them
class_acts   what people do with classes: add, merge, split, undo
pool         which images are labelled
accepted     what was accepted without a look, folded; the looks due, the certificate
accept       accepting the guesses for many images at once
certificate  how many accepted labels are wrong at most, from looks at some
leases       handing batches out and in, closing rounds
presence     which servers are alive
undo         taking back an answer, as a later row
disagreement how often people answered otherwise than the model
activity     what happened while somebody was away
embedded     which images an encoder has seen by a log position
predictions  a network's predictions for every image, on disk
ready_batch  a batch chosen in advance
"""
