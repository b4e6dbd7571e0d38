"""Images as an encoder takes them: decoded from their files at its size, and never all at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from al_core.images.dataset import ImageSet, identities
from al_core.pictures.decoding import decode
from al_core.pictures.pictures import Pictures
from al_core.pictures.square import Square


class Stream:
    """``images``, each in its ``square``. Safe to share between threads.

    Where its size is that of ``images``, they are taken from there. Otherwise ``pictures`` are
    decoded. A picture that is gone is enlarged from its pixels in ``images``.
    """

    def __init__(self, images: ImageSet, pictures: Pictures | None, square: Square) -> None:
        self._images, self._square = images, square
        self._pictures = None if square.size == images.images.shape[-1] else pictures
        self._digests = identities(images)

    @property
    def decodes(self) -> bool:
        """Whether it takes longer than a copy."""
        return self._pictures is not None

    def pixels(self, rows: Sequence[int]) -> NDArray[np.uint8]:
        """Those of some rows, ``[n,3,S,S]``."""
        if self._pictures is None:
            pixels: NDArray[np.uint8] = self._images.images[np.asarray(rows)]
            return pixels
        return np.stack([self._decoded(self._pictures, row) for row in rows])

    def _decoded(self, pictures: Pictures, row: int) -> NDArray[np.uint8]:
        with suppress(Exception):  # damaged files raise nearly anything
            picture = pictures.find(self._digests[row].tobytes())
            return decode(picture, self._square, pictures.ranges)
        upright = np.ascontiguousarray(self._images.images[row].transpose(1, 2, 0))
        return decode(upright, self._square)
