"""Strategies that rank images one by one, by how unsure the model is; and no strategy at all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from al_core.strategies.candidates import Candidates, Strategy, shuffled

Score = Callable[[Candidates], Tensor]
WHOLE = 64  # images that are scored together


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
    total: Tensor = torch.special.entr(probs).sum(1)
    return total


def bald(votes: Tensor) -> Tensor:
    """``H(mean_k p_k) - mean_k H(p_k)`` in nats, what the label would tell of the model: Houlsby
    et al., "Bayesian active learning for classification and preference learning" (2011).
    ``[K,N,C]`` to ``[N]``, O(KNC)."""
    # One after another: how mean() adds depends on how many images there are.
    both = [sum(parts[1:], parts[0]) / len(votes) for parts in (votes, [*map(entropy, votes)])]
    return entropy(both[0]) - both[1]


def variation_ratio(votes: Tensor) -> Tensor:
    """``1 - f/K``, where f of the K members vote for the class that most vote for: Freeman,
    "Elementary applied statistics" (1965), for committees Beluch et al., "The power of ensembles
    for active learning" (2018). ``[K,N,C]`` to ``[N]``, O(KNC)."""
    ballots = votes.argmax(2)
    counts = votes.new_zeros(votes.shape[1:])
    for ballot in ballots:
        counts.scatter_add_(1, ballot[:, None], torch.ones_like(counts[:, :1]))
    return 1 - counts.max(1).values / len(votes)


def random(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """``n`` positions drawn evenly: what every other strategy has to beat. O(N log N)."""
    return shuffled(candidates, n, generator)[:n]


def by_probs(score: Callable[[Tensor], Tensor]) -> Score:
    """A score of probabilities ``[N,C]`` as a score of candidates."""
    return lambda candidates: _evenly(score, candidates.probs, 0)


def by_votes(score: Callable[[Tensor], Tensor]) -> Score:
    """A score of a committee's probabilities ``[K,N,C]`` as a score of candidates."""
    return lambda candidates: _evenly(score, candidates.committee, 1)


def _evenly(score: Callable[[Tensor], Tensor], of: Tensor, dim: int) -> Tensor:
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


def ranked(score: Score) -> Strategy:
    """The strategy that takes the ``n`` highest scores, ties broken by the generator.

    O(N log N) after the score.
    """

    def select(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
        order = shuffled(candidates, n, generator)
        return order[score(candidates)[order].argsort(descending=True, stable=True)[:n]]

    return select
