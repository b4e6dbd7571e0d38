"""Images as one array, and what is known about them: ImageSet and Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError
from al_core.pictures.digests import pixel_digests

if TYPE_CHECKING:
    from al_core.pictures.pictures import Pictures

SMALLEST, LARGEST = 8, 512  # image_size in pixels


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """N images of one size with what is known about them.

    ``images`` uint8 [N,3,S,S], read-only, perhaps memory-mapped; ``targets`` int64 [N],
    -1: unknown; ``class_names`` is empty where the source has no classes; ``keys`` are N
    unique names that stay the same as long as the source does; ``digests`` V16 [N] of the pixels,
    None until computed (:func:`digests_of`); ``files`` FILES [N].
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    class_names: tuple[str, ...]
    keys: Sequence[str]
    digests: NDArray[np.void] | None = None
    files: NDArray[np.void] | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A loaded source. ``test`` may be empty; ``unreadable`` names what was left out, folders with
    "/" at their end. ``notes`` are sentences about the source, and ``copies`` the keys of images
    whose pixels are the same, group by group, ``near_copies`` those of images that nearly show the
    same. ``pictures`` are those of both sets, as the source holds them.

    ``other_names``: by its key, what else an image is called whose file is there more than once.
    ``stamps``: by its name, the size and time of a file in a folder, and when it got that name.
    ``own_split``: the source itself says which images measure. ``former``: images that were in the
    source once, as far as a cache still has their pixels. ``disputed``: images that are left out,
    as their files lie in folders of different classes. ``differ`` are the keys of all whose files
    do, and ``in_both`` those of images whose files lie among the ones to train and the ones to test
    with. ``refused``: why no experiment can start on it; those that were started go on.

    Where the images stand in the order of an experiment's manifest, ``base`` is the source they
    come from, ``learned_as`` the fingerprint of the pool it began with, ``blank`` are the positions
    whose pixels no cache has any more, and ``drawn`` those that were drawn to measure with later,
    and never train. An outline has no pixels yet (:func:`al_core.images.outline.outline`).
    """

    source: str
    train: ImageSet
    test: ImageSet
    fingerprint: str
    unreadable: tuple[str, ...]
    notes: tuple[str, ...] = ()
    copies: tuple[tuple[str, ...], ...] = ()
    near_copies: tuple[tuple[str, ...], ...] = ()
    pictures: Pictures | None = None
    other_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stamps: Mapping[str, Sequence[int]] = field(default_factory=dict)
    own_split: bool = False
    former: ImageSet | None = None
    disputed: ImageSet | None = None
    differ: tuple[str, ...] = ()
    in_both: tuple[str, ...] = ()
    refused: str = ""
    base: Dataset | None = None
    learned_as: str = ""
    blank: frozenset[int] = frozenset()
    drawn: frozenset[int] = frozenset()
    is_outline: bool = False

    @property
    def splits(self) -> tuple[ImageSet, ImageSet]:
        """The images to train on, and those to measure with."""
        return self.train, self.test

    @property
    def size(self) -> int:
        """The side of the images in memory, in pixels."""
        return int(self.train.images.shape[-1])

    @property
    def learned_for(self) -> str:
        """The fingerprint under which features learned from these images lie."""
        return self.learned_as or self.fingerprint

    @property
    def has_truth(self) -> bool:
        """Whether the target of every training image is known."""
        return bool((self.train.targets >= 0).all())


def has_files(source: Dataset) -> bool:
    """Whether the pictures of a source are files, or rows of a table, which may change."""
    return source.pictures is not None and source.pictures.has_files


def check_size(image_size: int) -> None:
    """Raise SourceError for a side in pixels that images cannot be scaled to."""
    if not SMALLEST <= image_size <= LARGEST:
        raise SourceError(f"The image size must be {SMALLEST} to {LARGEST} pixels: {image_size}.")


def digests_of(images: ImageSet) -> NDArray[np.void]:
    """The digest of each image, V16 [N]."""
    return pixel_digests(images.images) if images.digests is None else images.digests


def identities(images: ImageSet) -> NDArray[np.void]:
    """What tells each picture from all others, V16 [N]: the digest of its file's bytes, or of its
    pixels where there is no file."""
    return digests_of(images) if images.files is None else images.files["digest"]
