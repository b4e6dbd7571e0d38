"""Embeddings in many files: parquet, with a ``key`` and float16 features in each row."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.files.atomic import whole_file

ROWS = 512  # images in a file, where they do not come in parts of their own
NOTE = "of.txt"  # in the folder: of which images the features are, and by which weights


def part_path(folder: Path, number: int) -> Path:
    """Where the embeddings of a part of the images lie."""
    return folder / f"part-{number:08d}.parquet"


def parts_in(folder: Path) -> list[Path]:
    """The files of a folder, in the order of their numbers."""
    return sorted(folder.glob("part-*.parquet"))


def note_of(what: str, files: int) -> str:
    """What stands in the note of a folder that will hold so many files."""
    return f"{what}-{files}"


def files_to_come(folder: Path) -> int:
    """How many files its note says that the folder will hold; 0 where it says nothing."""
    note = folder / NOTE
    said = note.read_text(encoding="utf-8").rpartition("-")[2] if note.exists() else ""
    return int(said) if said.isdecimal() else 0


def write_part(path: Path, keys: Sequence[str], embeddings: NDArray[np.float16]) -> None:
    """Write one of them, whole or not at all; raises FileNotWritten."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(embeddings.reshape(-1), pa.float16())
    rows = pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])
    table = pa.table({"key": pa.array(keys, pa.string()), "embedding": rows})
    with whole_file(path) as file:
        # Packing saves a tenth, and unpacking takes six times as long as reading.
        pq.write_table(table, file, use_dictionary=False, compression="none")


def rows_in(path: Path) -> int | None:
    """How many images a file has embeddings of; None where there is none, or a damaged one."""
    import pyarrow.parquet as pq

    with suppress(OSError, ValueError):
        return int(pq.read_metadata(path).num_rows)
    return None


def read_keys(path: Path) -> list[str]:
    """The keys of a file. Raises ValueError where it is damaged, as read_embeddings does."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return list(file.read(["key"], use_threads=False)["key"].to_pylist())


def read_embeddings(path: Path) -> NDArray[np.float16]:
    """The embeddings of a file, ``[n,D]``; ``[0,0]`` where none of its images could be read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        rows = file.read(["embedding"], use_threads=False)["embedding"].combine_chunks()
    flat = rows.flatten().to_numpy(zero_copy_only=False).astype(np.float16, copy=False)
    embeddings: NDArray[np.float16] = flat.reshape(len(rows), -1 if len(rows) else 0)
    return embeddings


def gather(folder: Path, *wanted: Sequence[str]) -> list[NDArray[Any]]:
    """The embeddings of the images of these keys, ``[len(keys),D]`` for each list of keys.

    Raises ValueError where some are missing or there twice, or a file is damaged.
    """
    place = {key: (i, row) for i, keys in enumerate(wanted) for row, key in enumerate(keys)}
    found: list[NDArray[Any]] = []
    missing = set(place)
    for path in parts_in(folder):
        keys, embeddings = read_keys(path), read_embeddings(path)
        if not found and keys:
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
