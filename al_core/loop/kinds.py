"""Images in an order in which those that look alike stand together."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from al_core.seeds import generator
from al_core.strategies.geometry import k_means

OF_A_KIND = 25  # images, about
MOST = 64  # kinds


def by_kind(embeddings: NDArray[np.float16], seed: int) -> NDArray[np.int64]:
    """An order of n images with ``embeddings`` [n,D], int64 ``[n]``: kinds, as k-means has them on
    the sphere, stand one after another as their first images do, and within a kind images keep
    their order."""
    kinds = min(-(-len(embeddings) // OF_A_KIND), MOST)
    points = F.normalize(torch.from_numpy(embeddings.astype(np.float32)), dim=1)
    of = k_means(points, kinds, generator(seed, "kinds")).numpy()
    _, first, place = np.unique(of, return_index=True, return_inverse=True)
    return np.argsort(first[place], kind="stable")
