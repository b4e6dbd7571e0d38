"""A pool of embeddings in many files, too large for any machine's memory.

The files are those of :mod:`al_core.features.embedding_files`. The caller chooses who reads them:
``map`` for this process, or the same on a cluster (:func:`al_core.distributed.ray_cluster.tasks`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.errors import ConfigError
from al_core.features.embedding_files import check_finite, files_in, read_embeddings, read_keys
from al_core.progress import Progress, Work

FILES_A_TASK = 64  # files that one task reads, one by one

T = TypeVar("T")
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]  # answers in order
Found = tuple[int, NDArray[np.int64], list[str], NDArray[np.float16]]


class PoolFile(NamedTuple):
    """A file, the number of its images, the position of the first, and some of its ``rows``."""

    path: Path
    images: int
    start: int
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingPool:
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

    def tasks(self, places: NDArray[np.int64]) -> Iterator[list[PoolFile]]:
        """All files, by task, each with its rows among the ``places``, which ascend."""
        starts = np.cumsum([0, *self.counts])
        rows = np.split(places, np.searchsorted(places, starts[1:-1]))
        inside = map(np.subtract, rows, starts)
        files = map(PoolFile, self.files, self.counts, starts.tolist(), inside)
        while task := list(islice(files, FILES_A_TASK)):
            yield task


def each(answers: Iterable[Any], phase: str, count: int, take: Callable[[Any], None]) -> Work[None]:
    """``take`` each of the ``answers`` of tasks over ``count`` files in all."""
    began = time.perf_counter()
    yield Progress(phase, 0, count, "files", 0)
    for i, answer in enumerate(answers, start=1):
        take(answer)
        seconds = time.perf_counter() - began
        yield Progress(phase, min(i * FILES_A_TASK, count), count, "files", seconds)


def look_up(folder: Path, wanted: set[str], run: Map) -> Work[EmbeddingPool]:
    """Find the images with these keys in the files of a folder."""
    files = files_in(folder)
    if not files:
        raise ConfigError(f"{folder} holds no embedding files: embed writes them.")
    found: list[Found] = []
    tasks = (files[i : i + FILES_A_TASK] for i in range(0, len(files), FILES_A_TASK))
    answers = run(partial(_find, wanted), tasks)
    yield from each(answers, "Looking up labels", len(files), found.extend)
    counts, rows, names, embeddings = zip(*found, strict=True)
    keys = list(chain.from_iterable(names))
    if len(set(keys)) < len(keys):
        raise ConfigError(f"In {folder} a labelled image is there twice.")
    if missing := wanted.difference(keys):
        raise ConfigError(
            f"{len(missing):,} labelled images have no embedding in {folder}, for one "
            f"{min(missing)}."
        )
    starts = np.cumsum([0, *counts])
    places = np.concatenate([start + some for start, some in zip(starts, rows, strict=False)])
    known = [some for some in embeddings if len(some)] or [np.empty((0, 1), np.float16)]
    return EmbeddingPool(files, list(counts), places, keys, torch.from_numpy(np.concatenate(known)))


def _find(wanted: set[str], files: list[Path]) -> list[Found]:
    """In a task: the number of images in each file; the rows, keys and embeddings of the wanted."""
    found, nothing = [], np.empty((0, 0), np.float16)
    for file in files:
        keys = read(read_keys, file)
        rows = np.array([i for i, key in enumerate(keys) if key in wanted], np.int64)
        embeddings = embeddings_at(file, rows) if len(rows) else nothing
        found.append((len(keys), rows, [keys[i] for i in rows], embeddings))
    return found


def rows_at(
    pool: EmbeddingPool,
    places: NDArray[np.int64],
    what: Callable[[Path, NDArray[np.int64]], NDArray[Any]],
    phase: str,
    run: Map,
) -> Work[NDArray[Any]]:
    """``what`` files hold, keys or embeddings, of the images at these positions, in this order."""
    order = places.argsort()
    tasks = (task for task in pool.tasks(places[order]) if any(len(file.rows) for file in task))
    found: list[NDArray[Any]] = []
    answers = run(partial(_read_rows, what), tasks)
    yield from each(answers, phase, len(pool.files), found.extend)
    rows: NDArray[Any] = np.concatenate(found)[order.argsort()]
    return rows


def _read_rows(
    what: Callable[[Path, NDArray[np.int64]], NDArray[Any]], task: list[PoolFile]
) -> list[NDArray[Any]]:
    """In a task: read some rows of each file that has any."""
    return [what(file.path, file.rows) for file in task if len(file.rows)]


def keys_at(file: Path, rows: NDArray[np.int64]) -> NDArray[Any]:
    """The keys of some rows of a file."""
    return np.asarray(read(read_keys, file))[rows]


def embeddings_at(file: Path, rows: NDArray[np.int64]) -> NDArray[np.float16]:
    """The embeddings of some rows of a file; raises ConfigError where they are not finite."""
    embeddings = read(lambda path: read_embeddings(path)[rows], file)
    check_finite(embeddings, lambda i: f"{keys_at(file, rows[i : i + 1])[0]} in {file}")
    return embeddings


def read(what: Callable[[Path], T], file: Path) -> T:
    """``what(file)``, with the errors of a damaged file as a sentence."""
    try:
        return what(file)
    except (OSError, ValueError, IndexError) as error:  # fewer rows than keys
        raise ConfigError(
            f"{file} cannot be read as embeddings ({error}); remove it, and the same embed writes "
            "it again."
        ) from error
