"""Strategies that look at each image by itself, at how unsure the model is; and random choice."""

from __future__ import annotations

import torch
from torch import Tensor

from al_core.strategies.candidates import Candidates, shuffled, ties


def least_confidence(probs: Tensor) -> Tensor:
    """``1 - max_c p(c)``: Lewis & Gale (1994). ``[N,C]`` to ``[N]``, O(NC)."""
    return 1 - probs.max(1).values


def margin(probs: Tensor) -> Tensor:
    """``p(second) - p(first)``, at most 0: Scheffer et al. (2001). ``[N,C]`` to ``[N]``, O(NC)."""
    first, second = probs.topk(2, dim=1).values.unbind(1)
    return second - first


def entropy(probs: Tensor) -> Tensor:
    """``-sum_c p(c) log p(c)`` in nats: Shannon (1948), for queries Settles (2009). ``[N,C]`` to
    ``[N]``, O(NC)."""
    total: Tensor = torch.special.entr(probs).sum(1)
    return total


def bald(votes: Tensor) -> Tensor:
    """``H(mean_k p_k) - mean_k H(p_k)`` in nats, what the label would tell about the model: Houlsby
    et al. (2011). ``[K,N,C]`` to ``[N]``, O(KNC)."""
    # One by one: the order in which mean() adds depends on the number of images.
    both = [sum(parts[1:], parts[0]) / len(votes) for parts in (votes, [*map(entropy, votes)])]
    return entropy(both[0]) - both[1]


def variation_ratio(votes: Tensor) -> Tensor:
    """``1 - f/K``, where f of the K members vote for the most popular class: Freeman, "Elementary
    applied statistics" (1965), for committees Beluch et al. (2018). ``[K,N,C]`` to ``[N]``, O(KNC).
    """
    ballots = votes.argmax(2)
    counts = votes.new_zeros(votes.shape[1:])
    for ballot in ballots:
        counts.scatter_add_(1, ballot[:, None], torch.ones_like(counts[:, :1]))
    return 1 - counts.max(1).values / len(votes)


def base(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """Balanced selection: for each class the same number of images, those nearest to its own
    boundary, from either side: Emam et al. (2021).

    How far an image is from the boundary of class c is ``|log p(c) - log max_{k != c} p(k)|``, the
    difference of logits; the paper divides it by the distance of two rows of the last layer's
    weights, which a strategy does not see. Where ``n`` leaves a remainder, chance says which
    classes get one more. O(NC log N).
    """
    order = shuffled(candidates, n, generator)
    probs = candidates.probs[order].clamp_min(1e-30)  # so that no ratio is infinite
    classes = probs.shape[1]
    best, second = probs.topk(2, dim=1).values.unbind(1)
    left = torch.ones(len(probs), dtype=torch.bool, device=probs.device)
    chosen = []
    for place, c in enumerate(ties(classes, generator).argsort().tolist()):
        own = probs[:, c]
        other = torch.where(own == best, second, best)
        ratio = torch.maximum(own, other) / torch.minimum(own, other)  # in the order of its log
        nearest = torch.where(left, ratio, torch.inf).argsort(stable=True)
        chosen.append(nearest[: n // classes + (place < n % classes)])
        left[chosen[-1]] = False
    # The nearest of every class first.
    ranks = torch.cat([torch.arange(len(some)) for some in chosen]).argsort(stable=True)
    return order[torch.cat(chosen)[ranks.to(order.device)]]


def random(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """``n`` positions drawn uniformly: what every other strategy has to beat. O(N log N)."""
    return shuffled(candidates, n, generator)[:n]
