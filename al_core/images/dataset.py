"""Images as one array, and what is known about them: ImageSet and Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError

SMALLEST, LARGEST = 8, 512  # image_size in pixels
DIGEST = 16  # bytes of the digest of an image's pixels


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """N images of one size with what is known about them.

    ``images`` uint8 [N,3,S,S], read-only, perhaps memory-mapped; ``targets`` int64 [N],
    -1: unknown; ``class_names`` is empty where the source has no classes; ``keys`` are N
    unique names that stay the same as long as the source does; ``digests`` V16 [N] of the pixels,
    None until computed (:func:`digests_of`).
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    class_names: tuple[str, ...]
    keys: Sequence[str]
    digests: NDArray[np.void] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A loaded source. ``test`` may be empty; ``unreadable`` names what was left out."""

    source: str
    train: ImageSet
    test: ImageSet
    fingerprint: str
    unreadable: tuple[str, ...]

    @property
    def splits(self) -> tuple[ImageSet, ImageSet]:
        """The images to train on, and those to measure with."""
        return self.train, self.test

    @property
    def has_truth(self) -> bool:
        """Whether the target of every training image is known."""
        return bool((self.train.targets >= 0).all())


def check_size(image_size: int) -> None:
    """Raise SourceError for a side in pixels that images cannot be scaled to."""
    if not SMALLEST <= image_size <= LARGEST:
        raise SourceError(f"The image size must be {SMALLEST} to {LARGEST} pixels: {image_size}.")


def digest_of(pixels: bytes) -> bytes:
    """Identifies an image at its size: BLAKE2b of its pixels [3,S,S]."""
    return blake2b(pixels, digest_size=DIGEST).digest()


def digests_of(images: ImageSet) -> NDArray[np.void]:
    """The digest of each image, V16 [N]."""
    return pixel_digests(images.images) if images.digests is None else images.digests


def pixel_digests(images: NDArray[np.uint8]) -> NDArray[np.void]:
    """The digest of each of ``images`` uint8 [N,3,S,S], V16 [N]."""
    return np.frombuffer(b"".join(digest_of(one.tobytes()) for one in images), f"V{DIGEST}")
