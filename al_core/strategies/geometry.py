"""Distances between many points, and k-means, as matrix products in blocks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 4096  # rows compared at once
BURST = 256  # proposals drawn from the same weights, at most
STEPS = 10  # of k-means

Positions = Tensor | slice
SquaredDistances = Callable[[Positions, Tensor], Tensor]  # of positions [a], [b], float32 [a,b]


def directions(embeddings: Tensor) -> Tensor:
    """Embeddings ``[N,D]`` scaled to length 1, float32: only their angles count."""
    return torch.nn.functional.normalize(embeddings.float(), dim=1)


def squared_distances(points: Tensor, others: Tensor) -> Tensor:
    """Squared Euclidean distances from ``[N,D]`` to ``[K,D]``, ``[N,K]``."""
    squares = points.square().sum(1)[:, None] + others.square().sum(1)
    return squares.sub_(points @ others.T, alpha=2).clamp_min_(0)


def to_nearest(points: Tensor, others: Tensor) -> Tensor:
    """Squared distances ``[N]`` of ``points`` ``[N,D]`` to the nearest of ``others`` ``[K,D]``;
    infinite without others."""
    if not len(others):
        return points.new_full((len(points),), float("inf"))
    blocks = torch.split(points, BLOCK)
    return torch.cat([squared_distances(block, others).min(1).values for block in blocks])


def blocks(size: int, length: int) -> list[slice]:
    """Slices of this length that cover ``size`` rows."""
    return [slice(start, start + length) for start in range(0, size, length)]


def k_means(points: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """The cluster, int64 ``[N]``, of each of ``points`` ``[N,D]``, by 10 steps of Lloyd's algorithm
    from k-means++. O(NDk) a step."""

    def distances(some: Positions, others: Tensor) -> Tensor:
        return squared_distances(points[some], points[others])

    first = int(torch.randint(len(points), (), generator=generator))
    centers = points[k_means_plus_plus(distances, len(points), k, first, generator)]
    for _ in range(STEPS):
        cluster = _nearest(points, centers)
        sums = _sums(points, cluster, k)
        counts = torch.bincount(cluster, minlength=k)[:, None]
        centers = torch.where(counts > 0, sums / counts.clamp_min(1), centers)
    return _nearest(points, centers)


def _sums(points: Tensor, cluster: Tensor, k: int) -> Tensor:
    """The sum of the ``points`` ``[N,D]`` of each of ``k`` clusters, ``[k,D]``."""
    sums = points.new_zeros(k, points.shape[1])
    if points.is_cuda:  # where index_add_ adds in no fixed order; this sorts first
        return sums.index_put_((cluster,), points, accumulate=True)
    return sums.index_add_(0, cluster, points)


def _nearest(points: Tensor, centers: Tensor) -> Tensor:
    offset = centers.square().sum(1)
    blocks = torch.split(points, BLOCK)
    return torch.cat([(offset - 2 * block @ centers.T).argmin(1) for block in blocks])


def k_means_plus_plus(
    distances: SquaredDistances, size: int, n: int, first: int, generator: torch.Generator
) -> Tensor:
    """``n`` of ``size`` points, each drawn in proportion to its squared distance from the nearest
    drawn before: Arthur & Vassilvitskii, "k-means++" (2007). Positions, int64 ``[n]``.

    Points are proposed by weights that are some draws old, and accepted with probability new weight
    over old, which gives the same distribution (Cohen-Addad et al., "Fast and accurate k-means++
    via rejection sampling", 2020). So weights are updated for many centres at once, by a matrix
    product. Where all distances are 0, the first positions are taken.
    """
    chosen, new = [first], torch.tensor([first])
    weights = torch.full((size,), float("inf"))
    burst = 8
    while len(chosen) < n:
        nearest = torch.cat([distances(block, new).min(1).values for block in blocks(size, BLOCK)])
        weights = weights.minimum(nearest.cpu())
        weights[chosen] = 0
        cumulative = weights.double().cumsum(0)
        if cumulative[-1] <= 0:
            rest = torch.ones(size, dtype=torch.bool)
            rest[chosen] = False
            return torch.tensor(chosen + rest.nonzero()[: n - len(chosen), 0].tolist())
        draws = torch.rand(2, burst, generator=generator, dtype=torch.float64)
        proposed = torch.searchsorted(cumulative, draws[0] * cumulative[-1], right=True)
        proposed = proposed.clamp_max(size - 1)
        apart = distances(proposed, proposed).cpu()
        new = proposed[_accept(proposed, weights[proposed], apart, draws[1])][: n - len(chosen)]
        chosen += new.tolist()
        burst = min(2 * burst, BURST)
    return torch.tensor(chosen)


def _accept(proposed: Tensor, weights: Tensor, apart: Tensor, draws: Tensor) -> list[int]:
    """Which of the b points ``proposed`` in turn to accept, ascending, given the ``weights``
    ``[b]`` they were drawn by, their squared distances ``apart`` ``[b,b]``, and b uniform
    ``draws``."""
    left, accepted = weights.clone(), []
    for turn, draw in enumerate(draws.tolist()):
        if left[turn] > 0 and draw * weights[turn] <= left[turn]:
            accepted.append(turn)
            left = left.minimum(apart[turn])
            left[proposed == proposed[turn]] = 0
    return accepted
