"""The strategies' functions by name: STRATEGIES, and SCORES of those that rank."""

from collections.abc import Callable

from torch import Tensor

from al_core.strategies.candidates import Strategy
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
