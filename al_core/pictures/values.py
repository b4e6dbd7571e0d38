"""Values of more than 8 bits, and the range in which those of a source are shown."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFile import ImageFile

Range = tuple[float, float]
"""The values that are shown black and white."""

WHITES = (1, 255, 1023, 4095, 16383, 65535)  # of pictures of 1, 8, 10, 12, 14 and 16 bits
GREY = 116  # beside a picture
ABOVE = 1.005  # times a white are still shown by it: fractions overshoot where a picture was scaled
COLOURS = "RGB;16"
KINDS = {  # by the modes of PIL, but for colours, of which its modes have 8 bits
    "I;16": "16 bits", "I": "whole numbers", "F": "fractions", COLOURS: "16 bits for each colour",
}  # fmt: skip
# How PIL is told to take the upper byte of each colour, and how it would take the lower one.
LOWER = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B" if sys.byteorder == "little" else "RGB;16L",
}


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One picture: ``grey`` float32 [H,W], or [H,W,3] of COLOURS; ``low`` and ``high`` of its own
    pixels."""

    kind: str  # one of KINDS
    grey: NDArray[np.float32]
    low: float
    high: float


def is_wide(image: PILImage) -> bool:
    """Whether a picture's values have no 8 bits of their own."""
    return image.mode.startswith(("I", "F"))


def is_deep(image: ImageFile) -> bool:
    """Whether a picture that was opened and not loaded yet has 16 bits for each colour, of which
    PIL would give the upper 8."""
    is_plain = image.mode == "RGB" and "transparency" not in image.info
    return is_plain and bool(image.tile) and all(_raw_mode(one[3]) in LOWER for one in image.tile)


def colours(image: PILImage, lower: PILImage) -> tuple[NDArray[np.float32], float, float]:
    """All values of a deep picture, float32 [H,W,3], the least and the greatest; ``lower`` is the
    same picture from :func:`with_lower_bytes`."""
    values = np.asarray(image, np.float32) * 256 + np.asarray(lower, np.float32)
    return values, float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))


def with_lower_bytes(image: ImageFile) -> ImageFile:
    """A deep picture that was opened, told to load the lower byte of each colour."""
    tiles: list[Any] = []
    for codec, extents, offset, how in image.tile:
        lower = LOWER[how] if isinstance(how, str) else (LOWER[_raw_mode(how)], *(how or ())[1:])
        make = getattr(type(image.tile[0]), "_make", tuple)  # they were plain before PIL 11
        tiles.append(make((codec, extents, offset, lower)))
    image.tile = tiles
    return image


def _raw_mode(arguments: Any) -> Any:
    """What a decoder of PIL is told of how values are packed."""
    return arguments[0] if isinstance(arguments, tuple) and arguments else arguments


def finite(image: PILImage) -> tuple[NDArray[np.float32], float, float]:
    """All values, float32 [H,W], with the least and the greatest in place of those that are not
    finite, and both of these."""
    values = np.asarray(image).astype(np.float32)
    is_finite = np.isfinite(values)
    low = values.min(initial=np.inf, where=is_finite)
    high = values.max(initial=-np.inf, where=is_finite)
    if low > high:
        low = high = np.float32(0)
    if not is_finite.all():
        np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    return values, float(low), float(high)


def kind_of(image: PILImage) -> str:
    """Which of KINDS a wide picture is of."""
    return image.mode if image.mode in KINDS else "I;16"


def range_of(kind: str, low: float, high: float) -> Range:
    """The range in which values from ``low`` to ``high`` are shown: from 0 to the white of the
    fewest bits that hold them, so that one picture more seldom changes all others; their own where
    some are negative, or too large for that."""
    if low < 0:
        return low, high if high > low else low + 1
    most = ABOVE if kind == "F" else 1
    return 0, next((white for white in WHITES if high <= white * most), high)


def shaded(values: Values, shown: Range) -> NDArray[np.uint8]:
    """Values in a range as RGB, uint8 [3,H,W]; what is NaN lies beside the picture."""
    low, high = shown
    seen = (values.grey.astype(np.float64).clip(low, high) - low) * (255 / (high - low))
    pixels = np.rint(np.nan_to_num(seen, nan=GREY)).astype(np.uint8)
    return (
        pixels.transpose(2, 0, 1)
        if pixels.ndim == 3
        else np.broadcast_to(pixels, (3, *pixels.shape))
    )


def ranges_of(pictures: Iterable[Values]) -> dict[str, Range]:
    """One range for all pictures of a kind."""
    ends: dict[str, Range] = {}
    for one in pictures:
        low, high = ends.get(one.kind, (one.low, one.high))
        ends[one.kind] = min(low, one.low), max(high, one.high)
    return {kind: range_of(kind, *both) for kind, both in ends.items()}


def in_words(ranges: Mapping[str, Range]) -> tuple[str, ...]:
    """A sentence on each range."""
    return tuple(
        f"Pictures of {KINDS[kind]} are shown from {low:,g} (black) to {high:,g} (white), the same "
        "for all."
        for kind, (low, high) in ranges.items()
    )
