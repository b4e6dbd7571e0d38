"""The labelled rows most similar to others, by cosine."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware
from al_core.models.network import Network
from al_core.models.prediction import predict
from al_core.progress import finish
from al_core.seeds import numpy_generator

LOOKED_AT, NEIGHBOURS = 5000, 10


def nearest(queries: torch.Tensor, known: torch.Tensor, k: int) -> torch.Tensor:
    """The ``k`` rows of ``known`` ``[L,D]`` most similar to each of ``queries`` ``[n,D]``, by
    cosine: positions, best first, int64 ``[n, min(k, L)]``.

    The rows are taken in blocks, so that a large labelled set is never copied whole.
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
    """The most common class, int64 ``[n]``, among the ``k`` rows of ``known`` nearest to each of
    ``queries``, by ``labels`` int64 ``[L]``. The nearest ``skip`` do not count: where the queries
    are among the known, they are the queries themselves."""
    predicted = [
        labels[nearest(rows, known, k + skip)[:, skip:]].mode(1).values
        for rows in torch.split(queries, 1000)
    ]
    return torch.cat(predicted)


def accuracy_of_neighbours(
    network: Network,
    images: NDArray[np.uint8] | torch.Tensor,
    targets: NDArray[np.int64],
    hardware: Hardware,
) -> float:
    """The accuracy, on a few thousand of ``images``, of predicting the most common class of the ten
    nearest others by the embeddings of ``network``."""
    some = numpy_generator(0, "neighbours").permutation(len(targets))[:LOOKED_AT].astype(np.int64)
    fast = InferenceNetwork(network, hardware)
    embeddings = finish(predict(fast, images, some, hardware, "")).embeddings.to(hardware.device)
    truth = torch.from_numpy(targets[some]).to(hardware.device)
    predicted = by_neighbours(embeddings, embeddings, truth, NEIGHBOURS, skip=1)
    return (predicted == truth).float().mean().item()
