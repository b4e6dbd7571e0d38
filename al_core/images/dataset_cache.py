"""load(): images as one array, from a cache while it is valid.

    data = finish(load("digits", cache_dir=Path(".al/cache")))
    data.train.images.shape  # (1438, 3, 32, 32)

A decoded source lies in ``cache_dir/<signature>/`` and is memory-mapped from there. The
signature identifies the files that were decoded, by name, size and time; the fingerprint
identifies their content, and survives copying and touching. Where files of a folder have changed,
the rows of the others are taken from its last cache; those of files that are gone are kept, since
an experiment may have labels of them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from al_core.errors import SourceError
from al_core.files.atomic import PART, note_use, refusals, remove, whole_path
from al_core.files.locks import held, try_lock, wait_for_lock
from al_core.images.cache_files import decode_into, sha256, valid_index
from al_core.images.dataset import Dataset, ImageSet, check_size
from al_core.images.earlier import Earlier, earlier_of, nothing
from al_core.pictures.pictures import Pictures
from al_core.progress import Work
from al_core.sources.content import Content, Found
from al_core.sources.sources import find

FORMAT = 11  # of the cache; raise it whenever the same files would decode or split differently


def load(
    source: str,
    *,
    image_size: int = 32,
    cache_dir: Path,
    folders_are_classes: bool | None = True,
    moved_from: str = "",
) -> Work[Dataset]:
    """Load ``source`` (a name in SOURCES, or a path), from the cache while it is valid.

    Where the source has no labelled test split, a fifth of each class becomes one, always the
    same fifth (:func:`al_core.images.split.split`). Without ``folders_are_classes`` no folder gives
    its images a class. ``moved_from``: where its images were before, of which a cache is kept.
    Raises SourceError where there are no images to train on, DownloadError, and FileNotWritten
    where the cache cannot be written.
    """
    check_size(image_size)
    cache_dir = Path(cache_dir)
    found = yield from find(source, folders_are_classes=folders_are_classes)

    name = partial(name_of, found.kind, image_size=image_size)
    folder = cache_dir / f"{name(found.where, classes=folders_are_classes)}-{signature_of(found)}"
    index = valid_index(folder)
    if index is None:
        # Pixels are the same however folders are read, and wherever they lie.
        ways = dict.fromkeys((folders_are_classes, True, False, None))
        alike = [
            name(where, classes=way)
            for where in (found.where, moved_from) if where for way in ways
        ]  # fmt: skip
        index = yield from _build(found, image_size, folder, alike)
    note_use(folder)
    read = partial(found.read, image_size, cache_dir) if index["has_files"] else None
    return _opened(source, folder, index, read)


def name_of(kind: str, where: str, image_size: int, classes: bool | None) -> str:
    """With what the names of the caches of a source begin."""
    return sha256(json.dumps([FORMAT, kind, where, image_size, classes]))[:12]


def signature_of(found: Found) -> str:
    """With what the name of the cache of a source ends as long as its files stay as they are."""
    return sha256(json.dumps([found.stamps, found.touched]))[:24]


def load_again(
    source: str,
    *,
    image_size: int,
    cache_dir: Path,
    folders_are_classes: bool,
    moved_from: str = "",
) -> Work[Dataset]:
    """The same for an experiment that has begun and knows its images and their classes: a source
    that cannot be read as a new one, because of folders that came or went, is read without any, and
    says so in ``refused``."""
    read = partial(load, source, image_size=image_size, cache_dir=cache_dir, moved_from=moved_from)
    try:
        return (yield from read(folders_are_classes=folders_are_classes))
    except SourceError as error:
        return replace((yield from read(folders_are_classes=None)), refused=str(error))


def _opened(
    source: str,
    folder: Path,
    index: Mapping[str, Any],
    read: Callable[[], Work[Content]] | None,
) -> Dataset:
    """What lies in the cache ``folder``; ``read`` reads the pictures of the source, if it has
    files of them."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    targets = np.load(folder / "targets.npy")
    targets.setflags(write=False)
    digests, files = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("digests", "files")
    )
    names, keys, count = tuple(index["class_names"]), index["keys"], index["train"]
    every = [*keys, *index["disputed"], *index["former"]]
    there = len(keys) + len(index["disputed"])

    def part(which: slice) -> ImageSet:
        return ImageSet(
            images[which], targets[which], names, every[which], digests[which], files[which]
        )

    ranges = {kind: (low, high) for kind, (low, high) in index["ranges"].items()}
    return Dataset(
        source=source,
        train=part(slice(count)),
        test=part(slice(count, len(keys))),
        fingerprint=index["fingerprint"],
        unreadable=tuple(index["unreadable"]),
        pictures=Pictures(read, every[:there], files["digest"][:there], images, ranges),
        other_names=index["other_names"],
        own_split=index["own_split"],
        stamps=index["stamps"],
        former=part(slice(there, None)),
        disputed=part(slice(len(keys), there)) if index["disputed"] else None,
        # A cache of an earlier version says these in its notes.
        differ=tuple(index.get("differ", ())),
        in_both=tuple(index.get("in_both", ())),
        notes=tuple(index["notes"]),
        copies=tuple(map(tuple, index["copies"])),
        near_copies=tuple(map(tuple, index["near_copies"])),
    )


def _build(
    found: Found, image_size: int, folder: Path, alike: Sequence[str]
) -> Work[dict[str, Any]]:
    """Decode a source into ``folder``, which appears only when complete; return its index. Caches
    whose names begin like one of those ``alike`` may hold some of it."""
    with refusals(folder), held((yield from wait_for_lock(folder.with_suffix(".lock")))):
        if (index := valid_index(folder)) is not None:  # another process was faster
            return index
        _sweep(folder.parent)
        # Readers turn their own OSErrors into sentences; any other comes from the cache.
        with whole_path(folder, instead=True) as scratch:
            scratch.mkdir()
            content = yield from found.read(image_size, folder.parent)
            earlier = _last(folder, alike, image_size)
            index = yield from decode_into(scratch, content, image_size, found, earlier)
        former = _caches(folder.parent, folder.name.partition("-")[0])
        for one in former[:-2]:  # all that they hold is in the last two
            shutil.rmtree(one, ignore_errors=True)
        return index


def _caches(cache_dir: Path, name: str) -> list[Path]:
    """The caches of a source, whatever its files were like, the latest last."""
    whole = [path for path in cache_dir.glob(f"{name}-*/index.json") if path.parent.suffix != PART]
    return [path.parent for path in sorted(whole, key=lambda path: path.stat().st_mtime_ns)]


def _last(folder: Path, alike: Sequence[str], image_size: int) -> Earlier:
    """What the latest cache of a source holds: of the first of those ``alike`` that has one."""
    for name in alike:
        for former in reversed(_caches(folder.parent, name)):
            if former != folder and (index := valid_index(former)):
                with suppress(OSError, ValueError, KeyError):
                    return earlier_of(former, index)
    return nothing(image_size)


def _sweep(cache_dir: Path) -> None:
    """Remove what crashed runs left: unfinished folders whose lock is free."""
    for scratch in cache_dir.glob(f"*{PART}"):
        lock = try_lock(cache_dir / f"{scratch.name.partition('.')[0]}.lock")
        if lock is not None:
            remove(scratch)
            lock.release()
