"""What an encoder is: weights, the square it takes, and a network built of them when needed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from al_core.models.hardware import Hardware
from al_core.models.prediction import Embeds
from al_core.pictures.square import Square

Make = Callable[[Any, Hardware], Embeds]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """What embeds texts beside images: ``embed`` gives n of them unit vectors, float32 ``[n,D]``.
    Their cosine to an image's embedding, times ``scale``, is the logit of a pair."""

    embed: Callable[[Sequence[str]], Tensor]
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """Images in, embeddings out.

    ``square``: how it takes a picture. ``digest``: of its weights, its normalisation and the way it
    takes pictures, but for their size; embeddings of one digest and size can stand side by side.
    ``width``: of its embeddings, which are computed in ``dtype``, and are others in another.
    ``read`` gives its weights, and ``make`` a network of them, which may take a second; ``texts``,
    where it knows words, what embeds them, which takes seconds the first time. By its ``name``, and
    timm's for the ``architecture`` of a file, the settings choose it.
    """

    name: str
    digest: str
    width: int
    square: Square
    read: Callable[[], Any]
    make: Make
    dtype: torch.dtype = torch.float32
    texts: Callable[[], Texts] | None = None
    architecture: str = ""

    @property
    def signature(self) -> dict[str, str | int]:
        """Tells it from all others, and how to choose it again, as plain values."""
        return {
            "weights": self.digest,
            "image_size": self.square.size,
            "encoder": self.name,
            "architecture": self.architecture,
        }

    def on(self, hardware: Hardware) -> Hardware:
        """``hardware`` in the dtype of this encoder."""
        return replace(hardware, dtype=self.dtype)

    def build(self, hardware: Hardware) -> Embeds:
        """The network, on ``hardware``. Raises WeightsError where its weights are another's, or
        damaged."""
        return self.make(self.read(), hardware)


class EncoderNetwork(nn.Module):
    """A network for inference, with its normalisation: uint8 images to embeddings.

    Parameters
    ----------
    network
        Takes normalised images ``[N,3,S,S]`` to embeddings ``[N,D]``, in the dtype of ``hardware``
        and there.
    mean, std
        Per channel, for pixels from 0 to 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: Sequence[float], std: Sequence[float], hardware: Hardware
    ) -> None:
        super().__init__()
        self.at_most = sys.maxsize
        self.network = network
        for name, each in (("mean", mean), ("std", std)):
            of_pixels = 255 * torch.tensor(each, dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, of_pixels.to(hardware.device))
        self.dtype = hardware.dtype

    def embed(self, images: Tensor) -> Tensor:
        """uint8 ``[N,3,S,S]`` to embeddings ``[N,D]``."""
        pixels = ((images.float() - self.mean) / self.std).to(self.dtype)
        embeddings: Tensor = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return embeddings
