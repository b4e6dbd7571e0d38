"""A picture in a square, which is what a network takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Resize = Callable[["PILImage", tuple[int, int]], "PILImage"]

IMAGENET = (124, 116, 104)  # the mean of its colours


@dataclass(frozen=True, slots=True)
class Square:
    """How a picture is brought into a square of ``size`` pixels: all of it, its longer side scaled
    to that, and the rest filled with the colour ``beside``; or both sides scaled, as networks that
    were trained on ``squashed`` pictures expect."""

    size: int
    beside: tuple[int, int, int] = IMAGENET
    squashed: bool = False


def place_of(width: int, height: int, size: int) -> tuple[int, int, int, int]:
    """Where a picture lies in its square: left, top, right and bottom, in pixels of the square."""
    longer = max(width, height)
    across, down = (max(round(side * size / longer), 1) for side in (width, height))
    left, top = (size - across) // 2, (size - down) // 2
    return left, top, left + across, top + down


def by_pillow(image: PILImage, size: tuple[int, int]) -> PILImage:
    """Scaled to ``(width, height)`` with Lanczos's filter."""
    from PIL import Image

    return image.resize(size, Image.Resampling.LANCZOS)


def by_torch(image: PILImage, size: tuple[int, int]) -> PILImage:
    """The same of mode RGB in a fifth of the time; of 250 values one differs, by one. For a torch
    that knows the filter, see :func:`scaling`."""
    import torch
    from PIL import Image
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    scaled = interpolate(pixels, size[::-1], mode="lanczos", antialias=True)
    return Image.fromarray(scaled[0].permute(1, 2, 0).contiguous().numpy())


@cache
def scaling() -> tuple[str, Resize]:
    """How pictures are scaled for encoders, and what that is called, which is a part of what tells
    embeddings from others: an older torch does not know the filter, and says so in several ways."""
    from PIL import Image

    try:
        by_torch(Image.new("RGB", (4, 4)), (2, 2))
    except (ValueError, NotImplementedError):
        return "by pillow", by_pillow
    return "by torch", by_torch


def fitted(image: PILImage, square: Square, resize: Resize = by_pillow) -> PILImage:
    """A picture in its square; of grey values (mode F), what lies beside is NaN."""
    from PIL import Image

    size = square.size
    if image.size == (size, size):
        return image
    whole = (0, 0, size, size)
    place = left, top, right, bottom = whole if square.squashed else place_of(*image.size, size)
    scaled = resize(image, (right - left, bottom - top))
    if place == whole:
        return scaled
    beside: float | tuple[int, int, int] = math.nan if image.mode == "F" else square.beside
    filled = Image.new(image.mode, (size, size), beside)
    filled.paste(scaled, (left, top))
    return filled
