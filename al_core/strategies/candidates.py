"""What a strategy sees of the pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_core.errors import ConfigError

LIMIT = 50_000  # candidates that the strategies of quadratic cost look at
WHOLE = 64  # images that are scored together


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The unlabelled pool as a strategy sees it, N images.

    ``probs`` float32 ``[N,C]``, ``embeddings`` ``[N,D]`` and ``labeled_embeddings`` ``[L,D]`` in
    any floating dtype, all on one device. ``votes`` ``[K,N,C]`` are the probabilities of a
    committee of K heads, for the strategies that ask one. ``temperature`` softens ``probs`` where
    they are known to be too sure (Guo et al., 2017).
    """

    probs: Tensor
    embeddings: Tensor
    labeled_embeddings: Tensor
    votes: Tensor | None = None
    temperature: float = 1.0

    @property
    def committee(self) -> Tensor:
        """``votes``, or ``probs`` as a committee of one, which is always of one opinion."""
        return self.probs[None] if self.votes is None else self.votes


def shuffled(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """All positions in random order, so that the first of equals is any of them; int64 ``[N]``.

    Raises ConfigError if fewer than ``n`` are left.
    """
    probs = candidates.probs
    if not 0 <= n <= len(probs):
        raise ConfigError(f"{n:,} images were asked for, but only {len(probs):,} are left.")
    # Drawn on the generator's device, so that a CPU generator chooses alike for every device.
    keys = probs.new_empty(len(probs), device=generator.device).double()
    return keys.uniform_(generator=generator).argsort().to(probs.device)


def sample(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """Like :func:`shuffled`, but at most ``LIMIT`` positions (or ``n``, if that is more).

    For strategies that compare everything with everything: beyond that, time and memory no longer
    grow with the pool, and the choice is made among an even sample of it.
    """
    return shuffled(candidates, n, generator)[: max(LIMIT, n)]


def highest(scores: Tensor, candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """The positions of the ``n`` highest ``scores`` ``[N]``, ties broken by the generator.

    O(N log N).
    """
    order = shuffled(candidates, n, generator)
    return order[scores[order].argsort(descending=True, stable=True)[:n]]


def scored(score: Callable[[Tensor], Tensor], of: Tensor, dim: int) -> Tensor:
    """The ``score`` of N images along ``dim``, the last ones among copies of the last: what is left
    over beside whole vectors is computed otherwise, and an image's score would depend on how many
    there are."""
    n = of.shape[dim]
    whole = n // WHOLE * WHOLE
    last = torch.arange(whole, whole + WHOLE, device=of.device).clamp_max(max(n - 1, 0))
    scores = [score(of.narrow(dim, 0, whole))] if whole else []
    if whole < n:
        scores.append(score(of.index_select(dim, last))[: n - whole])
    return torch.cat(scores) if scores else of.new_empty(0)
