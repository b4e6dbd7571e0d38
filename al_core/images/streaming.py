"""Images as an encoder takes them: decoded from their files at its size, and never all at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from al_core.images.dataset import ImageSet, identities
from al_core.pictures.decoding import decode
from al_core.pictures.pictures import Pictures
from al_core.pictures.square import Square

Block = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Rows [n] of an image set, and their pixels [n,3,S,S]."""


def streamed(
    images: ImageSet, pictures: Pictures | None, rows: Sequence[int], square: Square, at_once: int
) -> Iterator[Block]:
    """``rows`` of ``images``, ``at_once`` at a time, each in its ``square``.

    Where its size is that of ``images``, they are taken from there. Otherwise ``pictures`` are
    decoded, those of the next block while the caller works on this one. A picture that is gone is
    enlarged from its pixels in ``images``.
    """
    blocks = [np.array(rows[start : start + at_once]) for start in range(0, len(rows), at_once)]
    if not blocks:
        return
    if pictures is None or square.size == images.images.shape[-1]:
        for block in blocks:
            yield block, images.images[block]
        return
    digests = identities(images)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        one = partial(_decoded, images, pictures, digests, square=square)
        ahead = threads.map(one, blocks[0].tolist())
        for block, after in zip(blocks, [*blocks[1:], np.array([], np.int64)], strict=True):
            decoded = np.stack(list(ahead))
            ahead = threads.map(one, after.tolist())
            yield block, decoded


def _decoded(
    images: ImageSet, pictures: Pictures, digests: NDArray[np.void], row: int, square: Square
) -> NDArray[np.uint8]:
    with suppress(Exception):  # damaged files raise nearly anything
        return decode(pictures.find(digests[row].tobytes()), square, pictures.ranges)
    return decode(np.ascontiguousarray(images.images[row].transpose(1, 2, 0)), square)
