"""Images as one array, and what is known of them: ImageSet and Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError

SMALLEST, LARGEST = 8, 512  # image_size in pixels


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """N images of one size with what is known about them.

    ``images`` uint8 [N,3,S,S], read-only, perhaps memory-mapped; ``targets`` int64 [N],
    -1: unknown; ``class_names`` is empty where the source has no classes; ``keys`` are N
    unique names that stay the same as long as the source does.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    class_names: tuple[str, ...]
    keys: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A loaded source. ``test`` may have no images; ``unreadable`` names what was left out."""

    source: str
    train: ImageSet
    test: ImageSet
    fingerprint: str
    unreadable: tuple[str, ...]

    @property
    def has_truth(self) -> bool:
        """Whether the target of every training image is known."""
        return bool((self.train.targets >= 0).all())


def check_size(image_size: int) -> None:
    """Raise SourceError for a side in pixels that images cannot be brought to."""
    if not SMALLEST <= image_size <= LARGEST:
        raise SourceError(f"The image size must be {SMALLEST} to {LARGEST} pixels: {image_size}.")
