"""The pool as a strategy sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_core.errors import ConfigError

LIMIT = 50_000  # candidates for strategies of quadratic cost
WHOLE = 64  # images are scored in multiples of it


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The unlabelled pool as a strategy sees it, N images.

    ``probs`` float32 ``[N,C]``, ``embeddings`` ``[N,D]`` and ``labeled_embeddings`` ``[L,D]`` in
    any floating dtype, all on one device. ``votes`` ``[K,N,C]`` are the probabilities of a
    committee of K heads, for strategies that query one.
    """

    probs: Tensor
    embeddings: Tensor
    labeled_embeddings: Tensor
    votes: Tensor | None = None

    @property
    def committee(self) -> Tensor:
        """``votes``, or ``probs`` as a committee of one, which never disagrees."""
        return self.probs[None] if self.votes is None else self.votes


def shuffled(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """All positions in random order, to break ties at random; int64 ``[N]``. Raises ConfigError if
    fewer than ``n`` are left."""
    probs = candidates.probs
    if not 0 <= n <= len(probs):
        raise ConfigError(f"{n:,} images were asked for, but only {len(probs):,} are left.")
    return ties(len(probs), generator).argsort().to(probs.device)


def ties(n: int, generator: torch.Generator) -> Tensor:
    """Numbers whose order breaks ties, float64 ``[n]``, on the generator's device: a CPU generator
    gives the same choice on every device."""
    numbers = torch.empty(n, dtype=torch.float64, device=generator.device)
    return numbers.uniform_(generator=generator)


def sample(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """Like :func:`shuffled`, but at most ``LIMIT`` positions (or ``n``, if that is more).

    For strategies that compare all images with all: in a larger pool they choose from a uniform
    sample, so that time and memory stop growing.
    """
    return shuffled(candidates, n, generator)[: max(LIMIT, n)]


def highest(scores: Tensor, candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """The positions of the ``n`` highest ``scores`` ``[N]``, ties broken by the generator.
    O(N log N)."""
    return ranked(scores, shuffled(candidates, n, generator))[:n]


def ranked(scores: Tensor, order: Tensor) -> Tensor:
    """Positions from the highest of ``scores`` to the lowest, of equal ones in this ``order``."""
    return order[scores[order].argsort(descending=True, stable=True)]


def scored(score: Callable[[Tensor], Tensor], of: Tensor, dim: int) -> Tensor:
    """The ``score`` of N images along ``dim``, padded with copies of the last image: leftovers of
    whole vectors are computed differently, and scores would depend on the number of images."""
    n = of.shape[dim]
    whole = n // WHOLE * WHOLE
    last = torch.arange(whole, whole + WHOLE, device=of.device).clamp_max(max(n - 1, 0))
    scores = [score(of.narrow(dim, 0, whole))] if whole else []
    if whole < n:
        scores.append(score(of.index_select(dim, last))[: n - whole])
    return torch.cat(scores) if scores else of.new_empty(0)
