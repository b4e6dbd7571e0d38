"""Strategies that choose images which stand for as many others as possible.

ProbCover and both kinds of herding are one greedy algorithm with three kernels. Each step takes the
candidate that most raises ``sum_x w(x) max_c k(x, c)``, where c runs over the labelled and chosen
images (submodular, so within 1 - 1/e of the best: Nemhauser et al., 1978). The sum runs over at
most 10,000 reference images and c over at most 50,000 candidates, both uniform samples of a larger
pool, so that the kernel fits into a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from al_core.strategies.candidates import Candidates, sample
from al_core.strategies.geometry import (
    BLOCK,
    blocks,
    directions,
    k_means,
    squared_distances,
    to_nearest,
)
from al_core.strategies.uncertainty import margin

CLUSTERS = 500  # of TypiClust, at most, as in the paper
SMALLEST = 5  # smaller clusters come last, unless most are
NEIGHBOURS = 20
MEMBERS = 5000  # of a cluster, compared with one another
REFERENCES = 10_000  # images to cover
PURITY = 0.95
COPIES = 0.1  # of the typical distance; anything closer counts as a copy

Kernel = Callable[[Tensor], Tensor]  # of squared distances, in place


def typiclust(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """Make as many clusters as there will be labels, at most 500, and take the most typical image
    of each, those with the fewest labels first, and the largest of them: Hacohen et al. (2022).

    Typicality is the inverse mean distance to the 20 nearest in the cluster. O(NDK) for each of 10
    steps of k-means with K clusters, then O(MD) for each of N images in clusters of M. Beyond
    50,000 candidates, a uniform sample.
    """
    order = sample(candidates, n, generator)
    if n == 0:
        return order[:0]
    labeled = directions(candidates.labeled_embeddings)
    points = torch.cat([directions(candidates.embeddings[order]), labeled])
    k = min(len(labeled) + n, CLUSTERS, len(points))
    cluster = k_means(points, k, generator)
    inside = _members(cluster[: len(order)], k)
    typical_last = [
        positions[typicality(points[positions]).argsort(stable=True)].tolist()
        for positions in inside
    ]
    labels = torch.bincount(cluster[len(order) :], minlength=k).tolist()
    turns = sorted(range(k), key=lambda i: (labels[i], -len(typical_last[i])))
    chosen: list[int] = []
    # Small clusters only once the others are used up; in a small pool those of fewer than the mean.
    for smallest in (min(SMALLEST, len(points) // k), 1):
        turn = [typical_last[i] for i in turns if len(inside[i]) >= smallest]
        while len(chosen) < n and any(turn):
            chosen += [members.pop() for members in turn if members][: n - len(chosen)]
    return order[chosen]


def typicality(points: Tensor) -> Tensor:
    """Inverse mean distance of each of ``points`` ``[M,D]`` to the 20 nearest others, ``[M]``.

    Neighbours are sought among 5,000 points at most, so that a giant cluster does not take
    quadratic time.
    """
    others = points[:MEMBERS]
    k = min(NEIGHBOURS, len(others) - 1)
    if k < 1:
        return points.new_zeros(len(points))
    near = [
        # The nearest is the point itself.
        squared_distances(block, others).topk(k + 1, largest=False).values[:, 1:].sqrt().mean(1)
        for block in torch.split(points, BLOCK)
    ]
    return 1 / torch.cat(near).clamp_min(1e-6)


def _members(cluster: Tensor, k: int) -> list[Tensor]:
    """The positions in each of ``k`` clusters."""
    return list(
        torch.split(cluster.argsort(stable=True), torch.bincount(cluster, minlength=k).tolist())
    )


def probcover(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """Greedily the image whose ball holds the most images that no ball covers yet: Yehuda et al.
    (2022).

    The radius is the largest at which 95% of the balls hold images of a single k-means cluster,
    with as many clusters as classes: the 5th percentile of the distance to the nearest image of
    another cluster. O(NDM) for N candidates and M references.
    """
    order = sample(candidates, n, generator)
    points = directions(candidates.embeddings[order])
    radius = _pure_radius(points, candidates.probs.shape[1], generator)
    labeled = directions(candidates.labeled_embeddings)
    weights = torch.ones(len(points), device=points.device)
    return order[_greedy(points, labeled, weights, lambda squares: squares.le_(radius), n)]


def maxherding(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """Greedily the image that most raises the mean similarity of the pool to the chosen images,
    with ``k(x, y) = exp(-|x - y|^2)`` on embeddings of length 1: Bae et al. (2024). O(NDM) for N
    candidates and M references."""
    order = sample(candidates, n, generator)
    points = directions(candidates.embeddings[order])
    labeled = directions(candidates.labeled_embeddings)
    weights = torch.ones(len(points), device=points.device)
    return order[_greedy(points, labeled, weights, _gaussian(1.0), n)]


def uherding(candidates: Candidates, n: int, generator: torch.Generator) -> Tensor:
    """MaxHerding with each image of the pool weighted by ``1 - (p(first) - p(second))``, its
    margin, and a radius that shrinks as labels grow denser: Bae et al. (2025). They scale the
    temperature first; probabilities come calibrated here.

    Without labels all weights and the radius are 1, which is MaxHerding. O(NDM) for N candidates
    and M references.
    """
    order = sample(candidates, n, generator)
    points = directions(candidates.embeddings[order])
    labeled = directions(candidates.labeled_embeddings)
    weights = torch.ones(len(points), device=points.device)
    if len(labeled):
        weights = 1 + margin(candidates.probs[order])
    return order[_greedy(points, labeled, weights, _gaussian(herding_radius(labeled)), n)]


def herding_radius(labeled: Tensor) -> float:
    """The median distance of ``labeled`` ``[L,D]``, of length 1 each, to the nearest other that is
    not a near-copy; at most 1, which it also is for fewer than two.

    The paper takes the smallest distance between any two. A single pair of near-copies makes that
    next to nothing; each image then stands for itself alone, and only uncertainty counts. After
    1,000 labels on CIFAR-10 the smallest was 0.04, while half of the labelled images were farther
    than 0.44 from the next. A copy is closer than a tenth of the median distance between any two.
    """
    if len(labeled) < 2:
        return 1.0
    typical = float(squared_distances(labeled[:BLOCK], labeled).median())
    near = []
    for block in torch.split(labeled, BLOCK):
        squares = squared_distances(block, labeled)
        squares[squares <= COPIES**2 * typical] = torch.inf  # the point itself is one of them
        near.append(squares.amin(1))
    apart = torch.cat(near)
    apart = apart[apart.isfinite()]
    return min(float(apart.median().sqrt()), 1.0) if len(apart) else 1.0


def _gaussian(radius: float) -> Kernel:
    return lambda squares: squares.mul_(-1 / radius**2).exp_()


def _pure_radius(points: Tensor, classes: int, generator: torch.Generator) -> float:
    """ProbCover's radius, squared."""
    cluster = k_means(points, min(classes, len(points)), generator)
    other = torch.full((len(points),), float("inf"), device=points.device)
    for positions in _members(cluster, classes):
        outside = cluster != cluster[positions[:1]] if len(positions) else cluster < 0
        few = positions[: max(1, 2000 // classes)]
        other[few] = to_nearest(points[few], points[outside])
    looked_at = other[other.isfinite()]
    return float(looked_at.quantile(1 - PURITY)) if len(looked_at) else 4.0


def _greedy(points: Tensor, labeled: Tensor, weights: Tensor, kernel: Kernel, n: int) -> Tensor:
    """``n`` positions in ``points`` ``[N,D]``, each the one that covers most of what is left.

    All gains are kept exact: a choice affects only those references that it is the nearest to so
    far, and they get fewer with each choice.
    """
    references, weights = points[:REFERENCES], weights[:REFERENCES]
    cells = len(references) * len(points)
    dtype = torch.float32 if cells <= 250_000_000 else torch.float16  # a gigabyte at most
    similar = torch.empty(len(references), len(points), dtype=dtype, device=points.device)
    best = torch.zeros(len(references), device=points.device)
    gains = torch.zeros(len(points), device=points.device)
    for rows in blocks(len(references), 512):
        if len(labeled):
            best[rows] = kernel(to_nearest(references[rows], labeled))
        for columns in blocks(len(points), 2048):  # a block of 4 MB stays in the cache
            block = kernel(squared_distances(references[rows], points[columns]))
            similar[rows, columns] = block
            gains[columns] += weights[rows] @ block.sub_(best[rows, None]).relu_()
    chosen: list[int] = []
    for _ in range(n):
        winner = int(gains.argmax())
        chosen.append(winner)
        reached = similar[:, winner].float()
        closer = (reached > best).nonzero()[:, 0]
        for some in torch.split(closer, 512):
            before, after = best[some, None], reached[some, None]
            loss = similar[some].float().clamp_(before, after).sub_(before)
            gains -= weights[some] @ loss
        best[closer] = reached[closer]
        gains[winner] = -torch.inf
    return torch.tensor(chosen, dtype=torch.int64)
