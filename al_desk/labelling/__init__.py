"""What an experiment waits for: labels, a training, or other people.

workflow     which of these it is: has rounds trained and features learned, waits for others
batch        the open batch: handed out, and shown
review       second thoughts: filters, the most suspicious first, agreement
accept       the guesses of a model, accepted many at once
certificate  how right that is
find         finding images by words, or by a picture
split_tests  test images whose class was split
"""
