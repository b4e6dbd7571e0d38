"""Query strategies: pure functions from predictions to positions.

    candidates     what a strategy sees; positions in random order, which breaks ties
    uncertainty    least_confidence, margin, entropy, bald, variation_ratio: rank by a score
    diversity      k_center, badge: far from one another, and from what is labelled
    coverage       typiclust, probcover, maxherding, uherding: images that stand for many others
    geometry       distances in blocks, k-means, k-means++

A strategy sees the unlabelled pool as tensors and answers which ``n`` of it to ask about, best
first. A new one is a function, a line in ``STRATEGIES`` (by way of ``SCORES`` where it ranks) and
an entry in :mod:`al_core.catalogue`.
"""

from collections.abc import Callable

from torch import Tensor

from al_core.strategies.candidates import Candidates, Strategy
from al_core.strategies.coverage import maxherding, probcover, typiclust, uherding
from al_core.strategies.diversity import badge, k_center
from al_core.strategies.uncertainty import (
    Score,
    bald,
    by_probs,
    by_votes,
    entropy,
    least_confidence,
    margin,
    random,
    ranked,
    variation_ratio,
)

# Scores of an image that need its probabilities only.
BY_PROBS: dict[str, Callable[[Tensor], Tensor]] = {
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
}

SCORES: dict[str, Score] = {
    **{name: by_probs(score) for name, score in BY_PROBS.items()},
    "bald": by_votes(bald),
    "variation_ratio": by_votes(variation_ratio),
}

STRATEGIES: dict[str, Strategy] = {
    **{name: ranked(score) for name, score in SCORES.items()},
    "badge": badge,
    "k_center": k_center,
    "typiclust": typiclust,
    "probcover": probcover,
    "maxherding": maxherding,
    "uherding": uherding,
    "random": random,
}

__all__ = ["BY_PROBS", "SCORES", "STRATEGIES", "Candidates", "Score", "Strategy"]
