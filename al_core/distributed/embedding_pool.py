"""A pool of embeddings in many files, too large for any machine's memory.

The files are those of :mod:`al_core.features.embedding_files`. The caller chooses who reads them:
``map`` for this process, or the same on a cluster (:func:`al_core.distributed.ray_cluster.tasks`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.errors import ConfigError
from al_core.features.embedding_files import files_in, read_embeddings, read_keys
from al_core.progress import Progress, Work

FILES_A_TASK = 64  # files that one task reads, one by one

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]  # answers in order


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """The files of one task, the number of images in each, and the position of the first image.
    ``places`` are the positions of some of the images, ascending; ``state``, that of a generator
    before it draws for these files."""

    files: list[Path]
    counts: list[int]
    start: int
    places: NDArray[np.int64]
    state: Tensor | None = None

    def each(self) -> Iterator[tuple[Path, int, NDArray[np.int64]]]:
        """Each file, the position of its first image, and the rows in it that are in ``places``."""
        start = self.start
        for file, count in zip(self.files, self.counts, strict=True):
            first, last = np.searchsorted(self.places, (start, start + count))
            yield file, start, self.places[first:last] - start
            start += count


@dataclass(frozen=True, slots=True, eq=False)
class PoolInParts:
    """The files and the number of images in each; and, for the known images, whose keys were looked
    up, their positions, ascending, keys and embeddings ``[L,D]``."""

    files: list[Path]
    counts: list[int]
    places: NDArray[np.int64]
    keys: list[str]
    embeddings: Tensor

    @property
    def unlabeled(self) -> int:
        return sum(self.counts) - len(self.places)

    def known(self, labels: Mapping[str, int | None]) -> tuple[Tensor, Tensor]:
        """Embeddings and classes, int64, of the images that have a class in ``labels``."""
        rows = [i for i, key in enumerate(self.keys) if labels.get(key) is not None]
        classes = [labels[self.keys[i]] for i in rows]
        return self.embeddings[rows], torch.tensor(classes, dtype=torch.int64)

    def stretches(self, places: NDArray[np.int64]) -> Iterator[Stretch]:
        """All files, by task, each with the ``places``, ascending, that lie in it."""
        start = 0
        for i in range(0, len(self.files), FILES_A_TASK):
            files, counts = self.files[i : i + FILES_A_TASK], self.counts[i : i + FILES_A_TASK]
            first, last = np.searchsorted(places, (start, start + sum(counts)))
            yield Stretch(files, counts, start, places[first:last])
            start += sum(counts)


def each(
    run: Map,
    work: Callable[[Any], Any],
    tasks: Iterable[Any],
    phase: str,
    count: int,
    take: Callable[[Any], None],
) -> Work[None]:
    """Run the tasks, over ``count`` files in all, and ``take`` each answer."""
    began = time.perf_counter()
    yield Progress(phase, 0, count, "files", 0)
    for i, answer in enumerate(run(work, tasks), start=1):
        take(answer)
        seconds = time.perf_counter() - began
        yield Progress(phase, min(i * FILES_A_TASK, count), count, "files", seconds)


def look_up(folder: Path, wanted: set[str], run: Map) -> Work[PoolInParts]:
    """Find the images with these keys in the files of a folder."""
    files = files_in(folder)
    if not files:
        raise ConfigError(f"{folder} holds no embedding files: embed writes them.")
    found: list[_Found] = []
    tasks = (files[i : i + FILES_A_TASK] for i in range(0, len(files), FILES_A_TASK))
    yield from each(
        run, partial(_find, wanted), tasks, "Looking up labels", len(files), found.extend
    )
    keys = [key for one in found for key in one.keys]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"In {folder} a labelled image is there twice.")
    if missing := wanted.difference(keys):
        raise ConfigError(
            f"{len(missing):,} labelled images have no embedding in {folder}, for one "
            f"{min(missing)}."
        )
    counts = [one.count for one in found]
    starts = np.cumsum([0, *counts])
    rows = [one.embeddings for one in found if one.keys] or [np.empty((0, 1), np.float16)]
    return PoolInParts(
        files,
        counts,
        np.concatenate([start + one.rows for start, one in zip(starts, found, strict=False)]),
        keys,
        torch.from_numpy(np.concatenate(rows)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The number of images in a file, and the rows, keys and embeddings of the wanted ones."""

    count: int
    rows: NDArray[np.int64]
    keys: list[str]
    embeddings: NDArray[np.float16]


def _find(wanted: set[str], files: list[Path]) -> list[_Found]:
    """In a task: find the wanted images in each file."""
    found = []
    for file in files:
        with damage_told(file):
            keys = read_keys(file)
            rows = np.array([i for i, key in enumerate(keys) if key in wanted], np.int64)
            embeddings = read_embeddings(file)[rows] if len(rows) else np.empty((0, 0), np.float16)
        found.append(_Found(len(keys), rows, [keys[i] for i in rows], embeddings))
    return found


def embeddings_at(pool: PoolInParts, places: NDArray[np.int64], run: Map) -> Work[Tensor]:
    """The embeddings ``[n,D]`` of the images at these positions, which must ascend."""
    rows: list[NDArray[np.float16]] = []
    stretches = pool.stretches(places)
    yield from each(run, _rows_of, stretches, "Sampling", len(pool.files), rows.extend)
    return torch.from_numpy(np.concatenate(rows))


def _rows_of(stretch: Stretch) -> list[NDArray[np.float16]]:
    """In a task: the embeddings of some images of each file that has any."""
    found = []
    for file, _, rows in stretch.each():
        if len(rows):
            with damage_told(file):
                found.append(read_embeddings(file)[rows])
    return found


def keys_at(pool: PoolInParts, places: NDArray[np.int64], run: Map) -> Work[list[str]]:
    """The keys of the images at these positions, in this order."""
    key_of: dict[int, str] = {}
    stretches = (s for s in pool.stretches(np.sort(places)) if len(s.places))
    yield from each(run, _keys_of, stretches, "Looking up names", len(pool.files), key_of.update)
    return [key_of[place] for place in places.tolist()]


def _keys_of(stretch: Stretch) -> dict[int, str]:
    """In a task: the keys of some images by position."""
    found: dict[int, str] = {}
    for file, start, rows in stretch.each():
        if len(rows):
            with damage_told(file):
                keys = read_keys(file)
            found |= {start + row: keys[row] for row in rows.tolist()}
    return found


@contextmanager
def damage_told(file: Path) -> Iterator[None]:
    """Turn the errors of a damaged file into a sentence."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{file} cannot be read as embeddings ({error}); remove it, and the same embed writes "
            "it again."
        ) from error
