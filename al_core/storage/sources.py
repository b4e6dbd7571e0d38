"""Which decoded images are those of an experiment, and what of its source can be read now."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from al_core.errors import SourceError
from al_core.files.paths import home, located
from al_core.images.cache_files import valid_index
from al_core.images.dataset import LARGEST, SMALLEST
from al_core.images.dataset_cache import name_of, signature_of
from al_core.progress import Work
from al_core.sources import cifar10
from al_core.sources.sources import SOURCES, find
from al_core.store.records import ExperimentRecord

if TYPE_CHECKING:
    from al_core.store.store import Store

KINDS = ("folder", "zip", "parquet", "arrow", "cifar10 folder", "cifar10 archive")  # by their paths


@dataclass(frozen=True, slots=True, eq=False)
class User:
    """An experiment, also one that was deleted and can be restored; the digests of all files that
    it has ever had, and the names with which caches of its source begin."""

    record: ExperimentRecord
    digests: frozenset[bytes]
    caches: frozenset[str]

    @property
    def number(self) -> int:
        """That of the experiment."""
        return self.record.id

    @property
    def source(self) -> str:
        """Its name in SOURCES, or the path of its images."""
        return source_of(str(self.record.config["data"]))


def users_of(store: Store) -> list[User]:
    """All experiments of a database."""
    return [
        User(
            record,
            digests_in(store, record.id),
            _caches_of(source_of(str(record.config["data"]))),
        )
        for deleted in (False, True)
        for record in store.experiments(deleted)
    ]


def digests_in(store: Store, experiment_id: int) -> frozenset[bytes]:
    """The digests of all files that an experiment has ever had."""
    digests = store.images(experiment_id).values("digest")
    return frozenset(bytes.fromhex(digest) for digest in digests if digest)


def source_of(data: str) -> str:
    """One name for a source, however its path was typed."""
    return data if data in SOURCES else str(located(data).resolve())


@lru_cache(100)
def _caches_of(source: str) -> frozenset[str]:
    path = Path(source)
    wheres = [""] if source in SOURCES else [
        source, str(path / cifar10.FOLDER), str(path / cifar10.ARCHIVE)
    ]  # fmt: skip
    return frozenset(
        name_of(kind, where, size, classes)
        for kind in ((source,) if source in SOURCES else KINDS)
        for where in wheres
        for size in range(SMALLEST, LARGEST + 1)
        for classes in (True, False, None)
    )


def digests_in_cache(folder: Path) -> frozenset[bytes]:
    """Those of the files whose pixels a cache holds, of which some may be gone."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return frozenset(np.load(folder / "files.npy")["digest"].tolist())
    return frozenset()


def readable_now(user: User, caches: Iterable[Path]) -> Work[tuple[Path | None, frozenset[bytes]]]:
    """The one of the ``caches`` of an experiment that holds its source as it is now, and nothing
    else, so that it can be made again; and the digests of the files that are there. None, and none,
    where there is no such cache, or its source cannot be read now."""
    try:
        found = yield from find(user.source)
    except SourceError:
        return None, frozenset()
    if found.kind == "cifar10" and not (home() / "cache/downloads" / cifar10.ARCHIVE).exists():
        return None, frozenset()
    for folder in caches:
        if folder.name.endswith(signature_of(found)) and (index := valid_index(folder)):
            there = len(index["keys"]) + len(index["disputed"])
            with suppress(OSError, ValueError):
                digests = np.load(folder / "files.npy")["digest"][:there].tolist()
                return (None if index["former"] else folder), frozenset(digests)
    return None, frozenset()
