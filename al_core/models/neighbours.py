"""The labelled rows most alike to others, by cosine."""

from __future__ import annotations

import torch


def nearest(queries: torch.Tensor, known: torch.Tensor, k: int) -> torch.Tensor:
    """The ``k`` rows of ``known`` ``[L,D]`` most alike to each of ``queries`` ``[n,D]``, by cosine.

    Positions, best first, int64 ``[n, min(k, L)]``. The rows are taken in blocks, so that a large
    labelled set needs no second copy of itself.
    """
    directions = torch.nn.functional.normalize(queries.float(), dim=1)
    alike = torch.cat(
        [directions @ torch.nn.functional.normalize(block.float(), dim=1).T
         for block in torch.split(known, 8192)],
        dim=1,
    )  # fmt: skip
    return alike.topk(min(k, len(known)), dim=1).indices


def by_neighbours(
    queries: torch.Tensor, known: torch.Tensor, labels: torch.Tensor, k: int, skip: int = 0
) -> torch.Tensor:
    """The class int64 ``[n]`` that most of the ``k`` rows of ``known`` nearest to each of
    ``queries`` have, by ``labels`` int64 ``[L]``; the nearest ``skip`` of all do not count, which
    are the queries themselves where they are among the known."""
    said = [
        labels[nearest(rows, known, k + skip)[:, skip:]].mode(1).values
        for rows in torch.split(queries, 1000)
    ]
    return torch.cat(said)
