"""One experiment: the log folded into a pool and a phase, and who labels what of it.

experiment   the fold: an experiment is its log
start        how one begins; the images it is measured on
pool         who is labelled
leases       batches handed out, handed in, rounds closed
presence     which servers are alive
undo         taking back what was said, as a later row
activity     what happened while somebody was away
predictions  what a round's network said of every image, on disk
ready_batch  a batch that was chosen in advance
"""
