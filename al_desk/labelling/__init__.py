"""What an experiment waits for: labels, a training, or other people.

workflow  decides which of these it is, and has rounds trained and features learned meanwhile
batch     the open batch: handed out, shown, saved, handed in
answers   what the events of a grid mean, as rows of the log
undo      taking back the last label
others    who is still labelling the round
review    second thoughts: filters, the most suspicious first, agreement
refit     fits a linear head again while a person labels
"""
