"""Query strategies: pure functions from predictions to positions.

    registry     one entry each: what it is good for and needs, its function, its paper
    candidates   what a strategy sees; positions in random order, which breaks ties; scores
    uncertainty  least_confidence, margin, entropy, bald, variation_ratio: rank by a score
    diversity    k_center, badge: far from one another, and from what is labelled
    coverage     typiclust, probcover, maxherding, uherding: images that stand for many others
    geometry     distances in blocks, k-means, k-means++

A strategy sees the unlabelled pool as tensors and answers which ``n`` of it to ask about, best
first. A new one is a function and an entry in ``registry``, which imports no torch.
"""
