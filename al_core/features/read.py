"""Frozen embeddings, and reading them from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.features.embedding_files import PARTS, check_finite, claimed, mapped_from, stored_in
from al_core.files.arrays import damage_as_value_error, open_arrays, read_array
from al_core.images.dataset import Dataset, ImageSet, identities

WIDEST = 1 << 20  # bytes that the features of one image may take in a file
KEYED = ("keys", "embeddings")  # arrays of an .npz file that is in no order
FORMATS = (
    "it must be a folder that embed has written; an .npz file with the arrays “train” and “test”, "
    "or “keys” and “embeddings”; an .npy file with a row for each image, those to train with "
    "first; or a parquet file with a column of keys and one of lists of numbers"
)


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
    there, or from a file in one of FORMATS. Raises ConfigError where they are missing or do not fit
    the images."""
    try:
        if path.is_dir() and (mapped := mapped_from(path, dataset)) and (of := claimed(path)):
            for name, rows, images in zip(PARTS, mapped, dataset.splits, strict=True):
                check_finite(rows, partial(_in_words, images, f"“{name}” in {path}"))
            train, test = mapped
            return Features(train, test, f"{dataset.fingerprint[:24]}-{of.get('weights')}")
        arrays = _gathered(path, dataset.splits) if path.is_dir() else _in_file(path, dataset)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as embeddings ({error}); {FORMATS}.") from error
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


def _in_file(path: Path, dataset: Dataset) -> list[NDArray[Any]]:
    """The embeddings of the images of each split, from a file. Raises OSError and ValueError."""
    sizes = [len(images) for images in dataset.splits]
    if path.suffix.lower() == ".npy":
        rows = read_array(path)
        if len(rows) != sum(sizes):
            raise ValueError(f"it has {len(rows):,} rows for {sum(sizes):,} images")
        return [rows[: sizes[0]], rows[sizes[0] :]]
    if path.suffix.lower() == ".parquet":
        return _by_key(*_columns(path), dataset)
    with open_arrays(path, (*PARTS, *KEYED), WIDEST * max(sum(sizes), 1)) as file:
        if set(KEYED) <= set(file.files):
            return _by_key([str(key) for key in file["keys"]], file["embeddings"], dataset)
        return [file[part] for part in PARTS]


def _columns(path: Path) -> tuple[list[str], NDArray[Any]]:
    """The keys and the embeddings in a parquet file: its columns of text and of lists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with damage_as_value_error():
        table = pq.read_table(path)
        texts = [f.name for f in table.schema if pa.types.is_string(f.type)]
        lists = [f.name for f in table.schema if hasattr(f.type, "value_type")]
        lists = [name for name in lists if name not in texts]
        if len(lists) != 1 or not texts:
            raise ValueError("it needs a column of keys and one of lists of numbers")
        key = "key" if "key" in texts else texts[0]
        rows = np.array(table[lists[0]].to_pylist(), np.float32)
        return table[key].to_pylist(), rows


def _by_key(keys: Sequence[str], rows: NDArray[Any], dataset: Dataset) -> list[NDArray[Any]]:
    """Embeddings in the order of the images, by their keys. Raises ValueError where some are not
    there, or twice."""
    place = {normalize("NFC", key): i for i, key in enumerate(keys)}
    if len(place) != len(keys) or len(keys) != len(rows):
        raise ValueError(f"it has {len(keys):,} keys, some of them twice, or not one for each row")
    missing = [key for images in dataset.splits for key in images.keys if key not in place]
    if missing:
        raise ValueError(f"{len(missing):,} images have none, for one {min(missing)}")
    return [rows[[place[key] for key in images.keys]] for images in dataset.splits]


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
