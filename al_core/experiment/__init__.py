"""One experiment: the log folded into a pool and a phase, and who labels which batch.

experiment   the fold: an experiment is its log
start        how one begins; its held-out images
pool         which images are labelled
leases       handing batches out and in, closing rounds
presence     which servers are alive
undo         taking back an answer, as a later row
activity     what happened while somebody was away
predictions  a network's predictions for every image, on disk
ready_batch  a batch chosen in advance
"""
