"""Embeddings in many files: parquet, with a ``key`` and float16 features in each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    pass

ROWS = 512  # images in a file, where they do not come in parts of their own


def part_path(folder: Path, number: int) -> Path:
    """Where the embeddings of a part of the images lie."""
    return folder / f"part-{number:08d}.parquet"


def is_partitioned(folder: Path) -> bool:
    """Whether a folder holds such files."""
    return next(folder.glob("part-*.parquet"), None) is not None


def write_part(path: Path, keys: Sequence[str], embeddings: NDArray[np.float16]) -> None:
    """Write one of them, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(embeddings.reshape(-1), pa.float16())
    rows = pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])
    half = path.with_suffix(".half")
    pq.write_table(pa.table({"key": pa.array(keys, pa.string()), "embedding": rows}), half)
    half.replace(path)


def read_parts(folder: Path) -> Iterator[tuple[list[str], NDArray[np.float16]]]:
    """Keys and embeddings ``[n,D]`` of each file, in the order of their numbers.

    Raises ValueError where one is damaged.
    """
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("part-*.parquet")):
        rows = pq.read_table(path, columns=["key", "embedding"]).combine_chunks()
        if not len(rows):  # none of its images could be read
            continue
        flat = rows["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        yield rows["key"].to_pylist(), flat.reshape(len(rows), -1).astype(np.float16, copy=False)


def gather(folder: Path, *wanted: Sequence[str]) -> list[NDArray[Any]]:
    """The embeddings of the images of these keys, ``[len(keys),D]`` for each list of keys.

    Raises ValueError where some are missing or there twice, or a file is damaged.
    """
    place = {key: (i, row) for i, keys in enumerate(wanted) for row, key in enumerate(keys)}
    found: list[NDArray[Any]] = []
    missing = set(place)
    for keys, embeddings in read_parts(folder):
        if not found:
            found = [np.empty((len(part), embeddings.shape[1]), np.float16) for part in wanted]
        for key, row in zip(keys, embeddings, strict=True):
            if key in place:
                if key not in missing:
                    raise ValueError(f"{key} is there twice")
                missing.discard(key)
                part, at = place[key]
                found[part][at] = row
    if missing or not found:
        example = f", for one {min(missing)}" if missing else ""
        raise ValueError(f"{len(missing):,} images have none{example}")
    return found
