"""Everything below AL_HOME: what it takes, and which experiments use it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from al_core.errors import ActiveLearningError
from al_core.features.embedding_files import files_in
from al_core.files.paths import database_address, files_beside, home, uploads
from al_core.images.cache_files import valid_index
from al_core.progress import Progress, Work
from al_core.sources.cifar10 import ARCHIVE
from al_core.storage.sources import User, digests_in_cache, source_of, users_of

if TYPE_CHECKING:
    from al_core.store.records import ExperimentRecord
    from al_core.store.store import Store

DATABASE, BACKUPS, WEIGHTS, LEARNED = "database", "backups of it", "experiments", "learned features"
UPLOADS, SIMULATIONS = "uploads", "simulations"
IMAGES, FEATURES, THUMBNAILS = "decoded images", "features of weights", "thumbnails"
DOWNLOADS = "downloads"
KINDS = (
    *(DATABASE, BACKUPS, UPLOADS, WEIGHTS, LEARNED, SIMULATIONS),
    *(IMAGES, FEATURES, THUMBNAILS, DOWNLOADS),
)
CACHES = (IMAGES, FEATURES, THUMBNAILS, DOWNLOADS)  # what can be had again
PER_EXPERIMENT = (UPLOADS, WEIGHTS, LEARNED, SIMULATIONS, *CACHES)  # those of others among them
REPORTED_S = 0.2  # seconds between two reports
NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Files that belong together: which of KINDS, their ``paths``, ``size`` in bytes, when they
    were last used, in seconds since the epoch, and the numbers of the experiments that use them,
    also of deleted ones that can be restored.

    ``digests``: of the pictures that they tell of. ``holds_gone``: they hold pixels of pictures
    that are gone, of which there may be labels. ``lock``: held while they are written.
    """

    kind: str
    paths: tuple[Path, ...]
    size: int
    used_at: float
    users: frozenset[int]
    digests: frozenset[bytes] = frozenset()
    holds_gone: bool = False
    lock: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """What is kept for the experiments of a database; ``others``: another database may use the same
    folder. ``sums``: bytes of each kind, of all of it (None), of what nobody uses (0), and of what
    an experiment uses, by its number."""

    kept: tuple[Kept, ...]
    records: tuple[ExperimentRecord, ...]
    others: bool
    sums: Mapping[tuple[str, int | None], int]

    def size(self, kind: str, number: int | None = None) -> int:
        """Bytes of a kind, of all or of one experiment."""
        return self.sums.get((kind, number), 0)

    def unused(self, kind: str) -> int:
        """Bytes of a kind that no experiment uses."""
        return self.sums.get((kind, 0), 0)


def look(store: Store, users: Sequence[User] | None = None) -> Work[Storage]:
    """Look what is kept, for ``users`` if they are known already. Files that come or go meanwhile
    are counted or not."""
    yield Progress("Looking", 0, 0, "files", 0)
    users = users_of(store) if users is None else users
    look_at = _Look(store, users)
    kept: list[Kept] = []
    sums = Counter[tuple[str, int | None]]()
    began = told = time.monotonic()
    for one in look_at.all():
        kept.append(one)
        for number in (None, *(one.users or (0,))):
            sums[one.kind, number] += one.size
        if (now := time.monotonic()) - told > REPORTED_S:
            told = now
            yield Progress("Looking", len(kept), 0, "files", now - began)
    records = tuple(user.record for user in users)
    return Storage(tuple(kept), records, look_at.others, sums)


def glance(store: Store) -> Work[Storage]:
    """The same without the files, of which there may be a million: to be remembered."""
    return replace((yield from look(store)), kept=())


class _Look:
    """Finds what is kept, kind by kind."""

    def __init__(self, store: Store, users: Iterable[User]) -> None:
        self._users, self._home = list(users), home()
        self._beside = store.folder(0).parent
        self._seen: set[tuple[int, int]] = set()  # files of more than one name, by device and inode
        database = database_address()
        other = [folder for folder in (self._home / "weights").glob("of-*") if folder.is_dir()]
        mine = files_beside(database)
        self.others = any(folder != mine for folder in other) or (
            mine != self._home / "weights" and (self._home / "al.db").exists()
        )
        self._database = None
        if database.startswith("sqlite:///"):
            self._database = Path(database.removeprefix("sqlite:///"))
        of_digest = defaultdict[bytes, set[int]](set)
        for user in self._users:
            for digest in user.digests:
                of_digest[digest].add(user.number)
        one_of_each: dict[frozenset[int], frozenset[int]] = {}
        self._of_digest = {
            digest: one_of_each.setdefault(frozenset(numbers), frozenset(numbers))
            for digest, numbers in of_digest.items()
        }

    def all(self) -> Iterator[Kept]:
        """Everything; features before the predictions that are second names of theirs."""
        yield from self._images()
        yield from self._features()
        yield from self._thumbnails()
        yield from self._of_names()

    def _kept(self, kind: str, paths: Iterable[Path], users: Iterable[int]) -> Kept | None:
        """Files and folders with all that is in them; None where they have gone."""
        size, used_at, there = 0, 0.0, list[Path]()
        for path in paths:
            with suppress(OSError):
                used_at = max(used_at, path.stat().st_mtime)
                there.append(path)
            size += sum(self._sizes(path))
        return Kept(kind, tuple(there), size, used_at, frozenset(users)) if there else None

    def _sizes(self, path: Path) -> Iterator[int]:
        for file in [path] if path.is_file() else path.rglob("*"):
            with suppress(OSError):
                stat = file.lstat()
                inode = (stat.st_dev, stat.st_ino)
                if file.is_dir() or (stat.st_nlink > 1 and inode in self._seen):
                    continue
                if stat.st_nlink > 1:
                    self._seen.add(inode)
                yield stat.st_size

    def _images(self) -> Iterator[Kept]:
        newest: dict[str, tuple[int, Path]] = {}
        found = []
        for note in (self._home / "cache").glob("*/index.json"):
            folder = note.parent
            index = valid_index(folder)
            if index is not None:
                name, at = folder.name.partition("-")[0], note.stat().st_mtime_ns
                newest[name] = max(newest.get(name, (0, folder)), (at, folder))
            found.append((folder, index))
        for folder, index in found:
            name = folder.name.partition("-")[0]
            # All that an earlier one holds of pictures that are gone is in the newest.
            is_newest = index is not None and newest[name][1] == folder
            users = [
                user.number
                for user in self._users
                if index is not None
                and (
                    (is_newest and name in user.caches)
                    or user.record.fingerprint == index.get("fingerprint")
                )
            ]
            if one := self._kept(IMAGES, [folder], users):
                yield replace(
                    one,
                    digests=digests_in_cache(folder),
                    holds_gone=is_newest and bool(index and index.get("former")),
                    lock=folder.with_suffix(".lock"),
                )

    def _features(self) -> Iterator[Kept]:
        import pyarrow.parquet as pq  # which the page need not wait for

        for folder in (self._home / "cache" / "features").glob("*/"):
            for table in files_in(folder):
                digests = frozenset[bytes]()
                with suppress(OSError, ValueError):
                    column = pq.read_table(table, columns=["digest"])["digest"]
                    digests = frozenset(column.to_pylist())
                users = [
                    user.number
                    for user in self._users
                    if (digests and digests <= user.digests)
                    or f"-{user.record.fingerprint}" in table.name
                ]
                # The table tells whose they are: removed last.
                if one := self._kept(FEATURES, [table.with_suffix(".npy"), table], users):
                    yield replace(one, digests=digests, lock=folder / "lock")

    def _thumbnails(self) -> Iterator[Kept]:
        for path in (self._home / "cache" / "thumbnails").glob("*/*"):
            digest = b""
            with suppress(ValueError):
                digest = bytes.fromhex(path.name.partition("-")[0])
            if one := self._kept(THUMBNAILS, [path], self._of_digest.get(digest, NOBODY)):
                yield replace(one, digests=frozenset([digest]))

    def _of_names(self) -> Iterator[Kept]:
        """What tells by its name whose it is."""
        numbers = {user.number for user in self._users}
        found = [
            self._kept(DOWNLOADS, [path], (u.number for u in self._users if _is_from(u, path)))
            for path in (self._home / "cache" / "downloads").glob("*")
        ]
        for path in (self._home / "weights").glob("learned-*"):
            of = path.name.removeprefix("learned-").partition(".")[0]
            learned = [u.number for u in self._users if u.record.fingerprint[:24] == of]
            found.append(self._kept(LEARNED, [path], learned))
        for path in self._beside.glob("[0-9]*"):
            if path.name.isdecimal():
                found.append(self._kept(WEIGHTS, [path], {int(path.name)} & numbers))
        for path in uploads().glob("*/"):
            if not path.name.startswith("."):
                there, of_users = path.resolve(), [(u, Path(u.source)) for u in self._users]
                using = [u.number for u, own in of_users if there in (own, *own.parents)]
                found.append(self._kept(UPLOADS, [path], using))
        for note in (self._home / "simulations").glob("*/simulation.json"):
            found.append(self._kept(SIMULATIONS, [note.parent], self._simulated(note)))
        if self._database is not None:
            beside = sorted(self._database.parent.glob(f"{self._database.name}*"))
            backups = [path for path in beside if path.name.endswith(".backup")]
            rest = [path for path in beside if path not in backups]
            found.append(self._kept(DATABASE, rest, numbers))
            found += [self._kept(BACKUPS, [path], numbers) for path in backups]
        yield from filter(None, found)

    def _simulated(self, note: Path) -> list[int]:
        """The experiments on the images of a simulation."""
        from al_core.store.store import Store  # with SQLAlchemy

        with suppress(ActiveLearningError, ValueError, KeyError, TypeError):
            with closing(Store(f"sqlite:///{note.with_name('al.db')}")) as store:
                (record,) = store.experiments()
            source = source_of(str(record.config["data"]))
            return [
                user.number
                for user in self._users
                if user.source == source or user.record.fingerprint == record.fingerprint
            ]
        return []


def _is_from(user: User, download: Path) -> bool:
    return user.source == "cifar10" and download.name.startswith(ARCHIVE)
