"""What an experiment waits for: labels, a training, other people.

workflow     which of these it is
batch        the open batch: handed out, shown, written to the log, handed in
answers      what a grid says, as rows of the log
undo         what was said last, taken back
others       who still labels the round
review       second thoughts: filters, the most suspicious first, agreement
refit        a linear head, fit again while a person labels
pretraining  features, learned from images alone while a person labels
"""
