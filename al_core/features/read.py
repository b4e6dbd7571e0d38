"""Frozen embeddings, and reading them from a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.features.embedding_files import PARTS, check_finite, claimed, mapped_from, stored_in
from al_core.files.arrays import open_arrays
from al_core.images.dataset import Dataset, ImageSet, identities

WIDEST = 1 << 20  # bytes that the features of one image may take in a file


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Frozen embeddings: ``train`` float16 ``[N,D]``, ``test`` float16 ``[M,D]``, in the order of
    the images, perhaps memory-mapped; ``digest`` identifies them. ``there``, bool ``[N]`` and
    ``[M]``, says which of them are known yet, the others being zeros; None where all are."""

    train: NDArray[np.float16]
    test: NDArray[np.float16]
    digest: str
    there: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None

    @property
    def tested(self) -> NDArray[np.int64]:
        """The test images whose embeddings are known, int64 ``[m]``."""
        return np.arange(len(self.test)) if self.there is None else np.flatnonzero(self.there[1])


def read_features(path: Path, dataset: Dataset) -> Features:
    """Read embeddings from a folder of embedding files, which are mapped where they are in order
    there, or from an ``.npz`` file with the arrays ``train`` and ``test``. Raises ConfigError where
    they are missing or do not fit the images."""
    try:
        if path.is_dir() and (mapped := mapped_from(path, dataset)) and (of := claimed(path)):
            for name, rows, images in zip(PARTS, mapped, dataset.splits, strict=True):
                check_finite(rows, partial(_in_words, images, f"“{name}” in {path}"))
            train, test = mapped
            return Features(train, test, f"{dataset.fingerprint[:24]}-{of.get('weights')}")
        if path.is_dir():
            arrays = _gathered(path, dataset.splits)
        else:
            most = WIDEST * max(len(dataset.train), len(dataset.test), 1)
            with open_arrays(path, PARTS, most) as file:
                arrays = [file[part] for part in PARTS]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read as embeddings: it must be an .npz file with the arrays "
            f"“train” and “test”, or a folder that embed has written ({error})."
        ) from error
    half = []
    for name, rows, images in zip(PARTS, arrays, dataset.splits, strict=True):
        if rows.ndim != 2 or len(rows) != len(images) or rows.dtype.kind != "f":
            raise ConfigError(
                f"The embeddings “{name}” in {path} are {rows.dtype}, {rows.shape}; there must be "
                f"{len(images):,} rows of floating-point numbers, one for each image."
            )
        with np.errstate(over="ignore"):
            half.append(rows.astype(np.float16))
        check_finite(half[-1], partial(_in_words, images, f"“{name}” in {path}"))
    digest = blake2b(half[0].tobytes() + half[1].tobytes(), digest_size=8).hexdigest()
    return Features(half[0], half[1], digest)


def _in_words(images: ImageSet, where: str, row: int) -> str:
    return f"{images.keys[row]} (row {row} of {where})"


def _gathered(folder: Path, parts: tuple[ImageSet, ...]) -> list[NDArray[np.float16]]:
    """The embeddings of the images of each split, from a folder's files. Raises ValueError where
    some are missing."""
    stored, names = stored_in(folder), [identities(images).tolist() for images in parts]
    missing = [
        key
        for images, digests in zip(parts, names, strict=True)
        for key, digest in zip(images.keys, digests, strict=True)
        if digest not in stored.place
    ]
    if missing:
        raise ValueError(f"{len(missing):,} images have none, for one {min(missing)}")
    return [stored.rows(digests) for digests in names]
