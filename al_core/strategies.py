"""Query strategies: pure functions from predictions to positions.

A strategy sees the unlabelled pool as tensors and answers which ``n`` of it to ask about, best
first. The ones that rank do so by a score, higher is more worth asking, which the page can show.
A new strategy is one function, one line in ``STRATEGIES`` (by way of ``SCORES`` where it ranks) and
one in ``GOOD_FOR``.

Nothing here imports torch by name: the page lists the strategies long before it needs a tensor,
and torch takes two seconds to import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from al_core.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The unlabelled pool as a strategy sees it, N images.

    ``probs`` float32 ``[N,C]``, ``embeddings`` ``[N,D]`` and ``labeled_embeddings`` ``[L,D]`` in
    any floating dtype, all on one device.
    """

    probs: Tensor
    embeddings: Tensor
    labeled_embeddings: Tensor


Strategy = Callable[[Candidates, int, "torch.Generator"], "Tensor"]
Score = Callable[["Tensor"], "Tensor"]


def least_confidence(probs: Tensor) -> Tensor:
    """``1 - max_c p(c)``: Lewis & Gale, "A sequential algorithm for training text classifiers"
    (1994). ``[N,C]`` to ``[N]``, O(NC)."""
    return 1 - probs.max(1).values


def margin(probs: Tensor) -> Tensor:
    """``p(second) - p(first)``, at most 0: Scheffer et al., "Active hidden Markov models for
    information extraction" (2001). ``[N,C]`` to ``[N]``, O(NC)."""
    first, second = probs.topk(2, dim=1).values.unbind(1)
    return second - first


def entropy(probs: Tensor) -> Tensor:
    """``-sum_c p(c) log p(c)`` in nats: Shannon (1948), for queries Settles, "Active learning
    literature survey" (2009). ``[N,C]`` to ``[N]``, O(NC)."""
    return -(probs * probs.clamp_min(1e-12).log()).sum(1)


def random(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """``n`` positions drawn evenly: what every other strategy has to beat. O(N log N)."""
    return _shuffled(candidates.probs, n, generator)[:n]


def ranked(score: Score) -> Strategy:
    """The strategy that takes the ``n`` highest scores, ties broken by the generator.

    O(N log N) after the score.
    """

    def select(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
        shuffled = _shuffled(candidates.probs, n, generator)
        order = score(candidates.probs)[shuffled].argsort(descending=True, stable=True)
        return shuffled[order[:n]]

    return select


def _shuffled(rows: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """All positions of ``rows`` in random order; raises ConfigError if fewer than ``n``."""
    if not 0 <= n <= len(rows):
        raise ConfigError(f"{n:,} images were asked for, but only {len(rows):,} are left.")
    # Drawn on the generator's device, so that a CPU generator chooses alike for every device.
    keys = rows.new_empty(len(rows), device=generator.device).double().uniform_(generator=generator)
    return keys.argsort().to(rows.device)


SCORES: dict[str, Score] = {
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
}

STRATEGIES: dict[str, Strategy] = {
    **{name: ranked(score) for name, score in SCORES.items()},
    "random": random,
}

GOOD_FOR: dict[str, str] = {
    "least_confidence": "the images whose best guess the model trusts least",
    "margin": "the images where two classes are almost equally likely",
    "entropy": "the images where the model is torn between many classes",
    "random": "a fair sample: the yardstick for every other strategy",
}
