"""Query strategies: pure functions from predictions to positions.

    catalogue    by name: what each is good for and needs, without torch
    registry     their functions by name
    candidates   what a strategy sees; positions in random order, which breaks ties
    uncertainty  least_confidence, margin, entropy, bald, variation_ratio: rank by a score
    diversity    k_center, badge: far from one another, and from what is labelled
    coverage     typiclust, probcover, maxherding, uherding: images that stand for many others
    geometry     distances in blocks, k-means, k-means++

A strategy sees the unlabelled pool as tensors and answers which ``n`` of it to ask about, best
first. A new one is a function, a line in ``registry`` (by way of ``SCORES`` where it ranks) and an
entry in ``catalogue``.
"""
