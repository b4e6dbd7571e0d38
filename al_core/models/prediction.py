"""predict(): a network's predictions on images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.errors import is_lack_of_memory
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, in_parts
from al_core.progress import Progress, Work

BATCH_SIZE = 512
ON_GPU = 2048  # it takes more to keep a card busy


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """``probs`` float32 ``[N,C]``, rows sum to 1; ``embeddings`` float16 ``[N,D]``, which halves
    the 100 MB that 50,000 of them would take."""

    probs: Tensor
    embeddings: Tensor


def batch_size(hardware: Hardware) -> int:
    """How many images are predicted at a time while memory lasts."""
    return ON_GPU if hardware.device.type == "cuda" else BATCH_SIZE


class Embeds(Protocol):
    """A network for inference: images to embeddings. ``at_most`` are known to fit into memory."""

    at_most: int

    def embed(self, images: Tensor) -> Tensor:
        """uint8 ``[N,3,H,W]`` to ``[N,D]``."""


def predict(
    network: InferenceNetwork,
    images: NDArray[np.uint8] | Tensor,
    positions: NDArray[np.int64],
    hardware: Hardware,
    phase: str,
) -> Work[Predictions]:
    """Probabilities and embeddings of ``images[positions]``, ``images`` uint8 ``[N,3,H,W]``, on the
    CPU, as :func:`embed_in_blocks` computes them."""
    n = len(positions)
    # Kept beside the images: one copy at the end, so that the card need not wait for each block.
    beside = images.device if isinstance(images, Tensor) else torch.device("cpu")
    probs = torch.empty(n, network.head.out_features, device=beside)
    embeddings = torch.empty(n, network.head.in_features, dtype=torch.float16, device=beside)

    def keep(rows: slice, features: Tensor) -> None:
        embeddings[rows] = features.half().to(beside)
        probs[rows] = network.head(features).float().softmax(1).to(beside)

    yield from embed_in_blocks(network, images, positions, hardware, (phase, keep))
    return Predictions(probs.cpu(), embeddings.cpu())


def embed_in_blocks(
    network: Embeds,
    images: NDArray[np.uint8] | Tensor,
    positions: NDArray[np.int64],
    hardware: Hardware,
    to: tuple[str, Callable[[slice, Tensor], None]],
) -> Work[None]:
    """Embed ``images[positions]``, ``images`` uint8 ``[N,3,H,W]``, block by block: the function in
    ``to`` is given the places of each block among the positions, and its embeddings ``[n,D]``; the
    text is the phase that reports name.

    Where memory runs out, it continues with half as many at a time, in later calls too, and its
    reports say so.
    """
    n, most, (phase, keep) = len(positions), batch_size(hardware), to
    size = min(most, network.at_most)
    wanted = (
        torch.from_numpy(positions).to(images.device) if isinstance(images, Tensor) else positions
    )
    start, done = time.perf_counter(), 0
    while done < n:
        end = min(done + size, n)
        # The last block reaches back into the one before, so that all blocks are of one size.
        rows = slice(max(end - size, 0), end)
        try:
            with torch.inference_mode():
                batch = torch.as_tensor(images[wanted[rows]]).to(hardware.device)
                keep(rows, network.embed(batch))
            done = end
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not is_lack_of_memory(error):
                raise
            size = network.at_most = -(-size // 2)
        yield Progress(in_parts(phase, size, most), done, n, "images", time.perf_counter() - start)
