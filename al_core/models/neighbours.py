"""The labelled rows most alike to others, by cosine."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware
from al_core.models.network import Network
from al_core.models.prediction import predict
from al_core.progress import finish

LOOKED_AT, NEIGHBOURS = 5000, 10


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


def accuracy_of_neighbours(
    network: Network,
    images: NDArray[np.uint8] | torch.Tensor,
    targets: NDArray[np.int64],
    hardware: Hardware,
) -> float:
    """The share of some thousand ``images`` that most of the ten nearest of the others agree with,
    by what ``network`` sees."""
    some = np.random.default_rng(0).permutation(len(targets))[:LOOKED_AT].astype(np.int64)
    fast = InferenceNetwork(network, hardware)
    embeddings = finish(predict(fast, images, some, hardware, "")).embeddings.to(hardware.device)
    truth = torch.from_numpy(targets[some]).to(hardware.device)
    predicted = by_neighbours(embeddings, embeddings, truth, NEIGHBOURS, skip=1)
    return (predicted == truth).float().mean().item()
