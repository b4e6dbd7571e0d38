"""The features of a dataset while they are computed: those that are there so far."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from al_core.features.embed import digest_of
from al_core.features.embedding_files import files_in, mapped_from, read_digests, read_embeddings
from al_core.features.encoders.encoder import Encoder
from al_core.features.read import Features
from al_core.images.dataset import Dataset, identities


def features_there(folder: Path, dataset: Dataset, encoder: Encoder) -> Features:
    """The features in the embedding files of ``folder`` by now; where they are all there and in
    order, memory-mapped."""
    if mapped := mapped_from(folder, dataset):
        train, test = mapped
        return Features(train, test, digest_of(dataset, encoder))
    return _growing(folder, dataset, encoder.width).by_now(digest_of(dataset, encoder))


class _Growing:
    """Arrays that are filled file by file, each of which is read once."""

    def __init__(self, folder: Path, dataset: Dataset, width: int) -> None:
        self._folder, self._lock, self._read = folder, Lock(), set[Path]()
        # Zeros take no memory before something is written there.
        self._rows = [np.zeros((len(one), width), np.float16) for one in dataset.splits]
        self._there = [np.zeros(len(one), np.bool_) for one in dataset.splits]
        self._places = defaultdict[bytes, list[tuple[int, int]]](list)
        for part, images in enumerate(dataset.splits):
            for row, digest in enumerate(identities(images).tolist()):
                self._places[digest].append((part, row))

    def by_now(self, digest: str) -> Features:
        with self._lock:
            for path in files_in(self._folder):
                if path not in self._read:
                    with suppress(OSError, ValueError):
                        self._take(path)
            train, test = self._rows
            there = (self._there[0].copy(), self._there[1].copy())
        return Features(train, test, digest, there)

    def _take(self, path: Path) -> None:
        embeddings = read_embeddings(path)
        for digest, row in zip(read_digests(path), embeddings, strict=True):
            for part, place in self._places.get(digest, ()):
                self._rows[part][place] = row
                self._there[part][place] = True
        self._read.add(path)


@lru_cache(2)
def _growing(folder: Path, dataset: Dataset, width: int) -> _Growing:
    return _Growing(folder, dataset, width)
