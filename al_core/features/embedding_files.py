"""Embedding files: embeddings of images, found by the digests of their files.

A folder holds any number of them, each a pair: ``embeddings-*.npy``, float16 ``[n,D]``, which is
memory-mapped, and ``embeddings-*.parquet``, the ``digest`` and ``key`` of each row. The table is
written last: a file exists once its table does. Order means nothing, and files may be added while
others are read. ``of.json`` records the weights and the image size; a table may be signed with the
encoder.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError, WeightsError
from al_core.files.arrays import damage_as_value_error, read_array
from al_core.files.atomic import note_use, remove, whole_file
from al_core.images.dataset import Dataset, ImageSet, identities
from al_core.pictures.digests import DIGEST

ROWS = 512  # images in a file, unless their shards have a size of their own
BLOCK = 8192  # rows looked at together
PARTS = ("train", "test")
NOTE = "of.json"
SIGNATURE = b"encoder"  # in the metadata of a table
ABANDONED_S = 60  # after which a file that is half written counts as abandoned


def file_named(folder: Path, name: str = "") -> Path:
    """The path of an embedding file's table, by ``name`` or with a random one."""
    return folder / f"embeddings-{name or secrets.token_hex(8)}.parquet"


def settled_files(folder: Path, dataset: Dataset) -> dict[Path, ImageSet]:
    """The two embedding files that hold a complete dataset, in the order of its images."""
    files = [file_named(folder, f"{dataset.fingerprint}-{part}") for part in PARTS]
    return dict(zip(files, dataset.splits, strict=True))


def files_in(folder: Path) -> list[Path]:
    """The embedding files of a folder, sorted by name."""
    return sorted(folder.glob("embeddings-*.parquet"))


def claim(folder: Path, weights: str, image_size: int, ours: bool) -> None:
    """Claim a folder for embeddings by the weights of this digest, of images of this size; raises
    WeightsError where it holds others. ``ours``: whether some of its files, if it has any, are of
    the images to be embedded."""
    note, of, here = folder / NOTE, {"weights": weights, "image_size": image_size}, claimed(folder)
    if files_in(folder) and (here != of or not ours):
        raise WeightsError(
            f"{folder} holds features of other images, weights or image sizes; name another folder."
        )
    if here != of:
        with whole_file(note) as file:
            file.write(json.dumps(of).encode())


def claimed(folder: Path) -> dict[str, Any] | None:
    """By which weights, and of which size, a folder has embeddings; None where it does not say."""
    with suppress(OSError, ValueError):
        here: dict[str, Any] = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return here
    return None


def write_file(
    path: Path,
    keys: Sequence[str],
    digests: Sequence[bytes],
    embeddings: NDArray[np.float16],
    signature: Mapping[str, str | int] | None = None,
) -> None:
    """Write an embedding file: a key, a digest and a row of ``embeddings`` ``[n,D]`` per image; and
    the ``signature`` of the encoder, if there is one.

    Raises ConfigError where they are not finite, and FileNotWritten.
    """
    check_finite(embeddings, lambda row: f"{keys[row]} by these weights")
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [pa.array(digests, pa.binary(DIGEST)), pa.array(keys, pa.string())]
    with whole_file(path.with_suffix(".npy")) as file:
        np.save(file, embeddings)
    with whole_file(path) as file:
        signed = {SIGNATURE: json.dumps(signature).encode()} if signature else None
        table = pa.table(columns, ["digest", "key"], metadata=signed)
        pq.write_table(table, file, use_dictionary=False, compression="none")


def signature_in(folder: Path) -> dict[str, Any]:
    """The signature of the encoder whose embeddings are in a folder; empty where there is none."""
    import pyarrow.parquet as pq

    for path in files_in(folder):
        with suppress(OSError, ValueError), damage_as_value_error():
            if signed := (pq.read_schema(path).metadata or {}).get(SIGNATURE):
                return dict(json.loads(signed))
    return {}


def check_finite(embeddings: NDArray[np.float16], image: Callable[[int], str]) -> None:
    """Raise ConfigError where a row of ``embeddings`` ``[n,D]`` is not finite, with the name of its
    ``image``."""
    for start in range(0, len(embeddings), BLOCK):
        wrong = ~np.isfinite(embeddings[start : start + BLOCK]).all(axis=1)
        if wrong.any():
            raise ConfigError(
                f"The features of {image(start + int(wrong.argmax()))} are not numbers, or too "
                "large for half precision, which ends at 65,504."
            )


def remove_files(files: Iterable[Path]) -> None:
    """Remove embedding files, except those that another program keeps open."""
    for path in files:
        with suppress(OSError):
            path.unlink()
            path.with_suffix(".npy").unlink(missing_ok=True)


def rows_in(path: Path) -> int | None:
    """The number of images in a file; None where it is missing or damaged."""
    with suppress(OSError, ValueError):
        rows = len(read_keys(path))
        return rows if rows == len(read_embeddings(path)) else None
    return None


def read_keys(path: Path) -> list[str]:
    """The keys of a file. Like its neighbours, raises OSError or ValueError for a damaged one."""
    return _column(path, "key")


def read_digests(path: Path) -> list[bytes]:
    """The digests of the images in a file."""
    return _column(path, "digest")


def read_embeddings(path: Path) -> NDArray[np.float16]:
    """The embeddings of a file, ``[n,D]``, memory-mapped."""
    rows = read_array(path.with_suffix(".npy"))
    if rows.ndim != 2 or rows.dtype != np.float16:
        raise ValueError(f"its embeddings are {rows.dtype}, {rows.shape}")
    return rows


def _column(path: Path, name: str) -> list[Any]:
    import pyarrow.parquet as pq

    with damage_as_value_error(), pq.ParquetFile(path) as file:
        return list(file.read([name], use_threads=False)[name].to_pylist())


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The contents of a folder: memory-mapped arrays, and each digest's array and row."""

    arrays: list[NDArray[np.float16]]
    place: dict[bytes, tuple[int, int]]

    def rows(self, digests: Sequence[bytes]) -> NDArray[np.float16]:
        """The embeddings ``[n,D]`` of images, none of which may be missing."""
        places = np.array([self.place[digest] for digest in digests], np.int64).reshape(-1, 2)
        width = self.arrays[0].shape[1] if self.arrays else 0
        embeddings = np.empty((len(digests), width), np.float16)
        order = np.lexsort(places.T[::-1])  # by array, then by row
        numbers, starts = np.unique(places[order, 0], return_index=True)
        for number, here in zip(numbers, np.split(order, starts[1:]), strict=False):
            embeddings[here] = self.arrays[number][places[here, 1]]
        return embeddings


def stored_in(folder: Path) -> Stored:
    """The current contents of a folder. A file that is damaged, or of another width than the first,
    counts as missing."""
    stored = Stored([], {})
    for path in files_in(folder):
        with suppress(OSError, ValueError):
            digests, rows = read_digests(path), read_embeddings(path)
            number = len(stored.arrays)
            alike = not number or rows.shape[1] == stored.arrays[0].shape[1]
            if alike and len(digests) == len(rows) > 0:
                stored.arrays.append(rows)
                stored.place.update((digest, (number, i)) for i, digest in enumerate(digests))
    return stored


def mapped_from(folder: Path, dataset: Dataset) -> list[NDArray[np.float16]] | None:
    """The embeddings of all images in order, memory-mapped; None where some
    are missing, or lie in other files."""
    mapped = []
    with suppress(OSError, ValueError):
        for path, images in settled_files(folder, dataset).items():
            # Copy on write, though nothing writes: torch warns of read-only arrays.
            rows = read_array(path.with_suffix(".npy"), "c")
            note_use(path)
            fits = rows.ndim == 2 and rows.dtype == np.float16 and len(rows) == len(images)
            if path.exists() and fits:
                mapped.append(rows)
    return mapped if len(mapped) == 2 else None


def settle(folder: Path, dataset: Dataset, signature: Mapping[str, str | int]) -> None:
    """Put the embeddings of a dataset, of which none may be missing, into its two files, with the
    ``signature`` of their encoder, so that they can be mapped. The files they came from are
    removed, unless they hold other images too, or belong to another dataset.

    Others may write files of their own meanwhile.
    """
    stored, settled, moved = stored_in(folder), settled_files(folder, dataset), set[bytes]()
    for path, images in settled.items():
        digests = identities(images).tolist()
        write_file(path, images.keys, digests, stored.rows(digests), signature)
        moved.update(digests)
    for path in files_in(folder):
        if not path.stem.endswith(PARTS):
            with suppress(OSError, ValueError):
                if not moved.issuperset(read_digests(path)):
                    continue
            remove_files([path])  # a damaged one too
    for half in folder.glob("*.part"):
        with suppress(OSError):
            if time.time() - half.stat().st_mtime > ABANDONED_S:  # left by a killed program
                remove(half)
