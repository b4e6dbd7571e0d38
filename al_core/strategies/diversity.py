"""Strategies that choose images far from one another and from the labelled ones."""

from __future__ import annotations

import torch
from torch import Tensor

from al_core.strategies.candidates import Candidates, shuffled
from al_core.strategies.geometry import Positions, k_means_plus_plus, squared_distances, to_nearest

ACTIVE = 4096  # candidates whose distances stay exact between two passes over all


def k_center(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """Greedily the image farthest from all labelled and chosen ones, by Euclidean distance: the
    2-approximation of Gonzalez (1985) in Sener & Savarese (2018).

    Without labels the first image is random. O(NDn), as one matrix product for many centres:
    distances only shrink, so between two passes over all images only those of the farthest few are
    kept exact, as long as the farthest of them is farther than all others can be.
    """
    order = shuffled(candidates, n, generator)
    points = candidates.embeddings[order].float()
    far = to_nearest(points, candidates.labeled_embeddings.float())
    chosen: list[int] = []
    new: list[int] = []
    while len(chosen) < n:
        if new:
            far = far.minimum(to_nearest(points, points[new]))
            far[chosen] = -1
            new = []
        top = far.topk(min(ACTIVE + 1, len(far)))
        bound = top.values[-1] if len(far) > ACTIVE else top.values.new_tensor(-1.0)
        # By position, which is random, so that ties are broken at random.
        active = top.indices[:ACTIVE].sort().values
        close, left = points[active], far[active]
        while len(chosen) < n:
            farthest = int(left.argmax())
            if new and left[farthest] < bound:
                break
            new.append(int(active[farthest]))
            chosen.append(new[-1])
            left = left.minimum(squared_distances(close, close[farthest : farthest + 1])[:, 0])
            left[farthest] = -1
    return order[chosen]


def badge(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """k-means++ on gradient embeddings ``(p - onehot(argmax p)) x h``: Ash et al. (2020).

    The first image has the largest gradient, as in the authors' code. A gradient is the outer
    product of a vector a of C numbers and h of D, and is never formed:
    ``|g_i - g_j|^2 = |a_i|^2 |h_i|^2 + |a_j|^2 |h_j|^2 - 2 (a_i a_j)(h_i h_j)``. O(N(C + D)n).
    """
    order = shuffled(candidates, n, generator)
    hidden = candidates.embeddings[order].float()
    errors = candidates.probs[order].clone()
    errors[torch.arange(len(errors)), errors.argmax(1)] -= 1
    norms = errors.square().sum(1) * hidden.square().sum(1)

    def distances(some: Positions, others: Tensor) -> Tensor:
        product = (errors[some] @ errors[others].T) * (hidden[some] @ hidden[others].T)
        return (norms[some, None] + norms[others]).sub_(product, alpha=2).clamp_min_(0)

    if n == 0:
        return order[:0]
    chosen = k_means_plus_plus(distances, len(order), n, int(norms.argmax()), generator)
    return order[chosen]
