"""Query strategies: pure functions from predictions to positions.

    registry     one entry each: uses and needs, function, paper
    candidates   what a strategy sees; random order, to break ties; scores
    uncertainty  least_confidence, margin, entropy, bald, variation_ratio: rank by a score
    diversity    k_center, badge: images unlike one another and the labelled ones
    coverage     typiclust, probcover, maxherding, uherding: images that stand for many others
    geometry     distances in blocks, k-means, k-means++

A strategy gets the unlabelled pool as tensors and returns the ``n`` images to label, best first. A
new one is a function and an entry in ``registry``, which imports no torch.
"""
