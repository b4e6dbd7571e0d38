"""load(): images as one array, from a cache while it is valid.

    data = finish(load("digits", cache_dir=Path(".al/cache")))
    data.train.images.shape  # (1438, 3, 32, 32)

A decoded source lies in ``cache_dir/<signature>/`` and is memory-mapped from there. The
signature identifies the files that were decoded, by name, size and time; the fingerprint
identifies their content, and survives copying and touching.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError
from al_core.files.atomic import PART, refusals, remove, whole_path
from al_core.files.locks import held, try_lock, wait_for_lock
from al_core.images.dataset import DIGEST, SMALLEST, Dataset, ImageSet, check_size, digest_of
from al_core.images.decoding import Content, Found, decode_all
from al_core.images.sources import find
from al_core.progress import Progress, Work

TEST_SHARE = 0.2
FEWEST_TESTED = 2  # images; fewer say nothing of a class
SMALLEST_SPLIT = 4  # images of a class; with fewer, all are needed to train on
FORMAT = 3  # of the cache; raise it whenever the same files would decode or split differently
ROWS = 1024  # images copied between two reports


def load(source: str, *, image_size: int = 32, cache_dir: Path) -> Work[Dataset]:
    """Load ``source`` (a name in SOURCES, or a path), from the cache while it is valid.

    Where the source has no labelled test split, a fifth of each class becomes one, always the
    same fifth: at least two images of every class of four or more, and none of a smaller one.
    Raises SourceError where there are no images to train on, DownloadError, and FileNotWritten
    where the cache cannot be written.
    """
    check_size(image_size)
    cache_dir = Path(cache_dir)
    found = yield from find(source)
    about = [FORMAT, found.kind, found.where, image_size, found.stamps]
    folder = cache_dir / _sha256(json.dumps(about))[:24]
    index = _valid_index(folder)
    if index is None:
        index = yield from _build(found, image_size, folder)
    images = np.load(folder / "images.npy", mmap_mode="r")
    targets = np.load(folder / "targets.npy")
    targets.setflags(write=False)
    digests = np.load(folder / "digests.npy", mmap_mode="r")
    names, keys, count = tuple(index["class_names"]), index["keys"], index["train"]
    return Dataset(
        source=source,
        train=ImageSet(images[:count], targets[:count], names, keys[:count], digests[:count]),
        test=ImageSet(images[count:], targets[count:], names, keys[count:], digests[count:]),
        fingerprint=index["fingerprint"],
        unreadable=tuple(index["unreadable"]),
    )


def unmeasured_classes(source: str, *, cache_dir: Path) -> Work[tuple[tuple[str, ...], int]]:
    """The classes of ``source`` with fewer than two test images, and how many classes it has,
    before its pictures are decoded. Raises as :func:`load` does.
    """
    found = yield from find(source)
    content = yield from found.read(SMALLEST, Path(cache_dir))
    _, test = _split(content, np.ones(len(content.keys), dtype=np.bool_))
    names = content.class_names
    return too_few_to_test(names, content.targets[test]), len(names)


def too_few_to_test(class_names: Sequence[str], tested: NDArray[np.int64]) -> tuple[str, ...]:
    """The classes that test images with the targets ``tested`` cannot measure."""
    counts = np.bincount(tested[tested >= 0], minlength=len(class_names))
    return tuple(n for n, c in zip(class_names, counts, strict=True) if c < FEWEST_TESTED)


def _build(found: Found, image_size: int, folder: Path) -> Work[dict[str, Any]]:
    """Decode a source into ``folder``, which appears only when complete; return its index."""
    with refusals(folder), held((yield from wait_for_lock(folder.with_suffix(".lock")))):
        if (index := _valid_index(folder)) is not None:  # another process was faster
            return index
        _sweep(folder.parent)
        # Readers turn their own OSErrors into sentences; any other comes from the cache.
        with whole_path(folder, instead=True) as scratch:
            scratch.mkdir()
            content = yield from found.read(image_size, folder.parent)
            return (yield from _decode_into(scratch, content, image_size, found.where))


def _sweep(cache_dir: Path) -> None:
    """Remove what crashed runs left: unfinished folders whose lock is free."""
    for scratch in cache_dir.glob(f"*{PART}"):
        lock = try_lock(cache_dir / f"{scratch.name.partition('.')[0]}.lock")
        if lock is not None:
            remove(scratch)
            lock.release()


def _decode_into(
    folder: Path, content: Content, image_size: int, where: str
) -> Work[dict[str, Any]]:
    """Write images.npy, targets.npy, digests.npy and index.json: training images first, then test
    images."""
    with (folder / "decoded").open("wb") as raw:
        readable = yield from decode_all(content.pictures, len(content.keys), image_size, raw)
    if where and not os.path.exists(where):
        raise SourceError(f"{where} disappeared while it was read: check its disk.")
    train, test = _split(content, readable)
    _check(content, readable, train, where)
    rows = np.concatenate([train, test])
    keys = [content.keys[row] for row in rows.tolist()]
    targets = content.targets[rows]
    about = {"train": len(train), "class_names": content.class_names, "keys": keys}
    digest = hashlib.sha256(json.dumps([image_size, about]).encode())
    digest.update(targets.astype("<i8").tobytes())
    with (folder / "images.npy").open("wb") as file:
        digests = yield from _copy_rows(folder / "decoded", rows, image_size, file, digest.update)
    (folder / "decoded").unlink()
    np.save(folder / "targets.npy", targets)
    np.save(folder / "digests.npy", digests)
    unreadable = [content.keys[row] for row in np.flatnonzero(~readable).tolist()]
    index = about | {
        "fingerprint": digest.hexdigest()[:16],
        "unreadable": [*content.left_out, *unreadable],
        "files": _file_stamps(folder),
    }
    body = json.dumps(index)
    (folder / "index.json").write_text(f"{_sha256(body)}\n{body}", "utf-8")
    return index


def _split(
    content: Content, readable: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows for training and for testing. Without a labelled test split, a fifth of each class,
    see :func:`load`.

    A hash of the keys decides which fifth: the same on every machine, and nearly the same after a
    few images were added.
    """
    keys = content.keys
    known = content.targets >= 0
    in_test = content.in_test & known & readable
    in_train = ~content.in_test & readable
    if not in_test.any():
        for target in np.unique(content.targets[in_train & known]):
            of_class = np.flatnonzero(in_train & (content.targets == target))
            shuffled = sorted(of_class.tolist(), key=lambda row: _sha256(f"split 0 {keys[row]}"))
            if len(shuffled) >= SMALLEST_SPLIT:
                tested = max(round(TEST_SHARE * len(shuffled)), FEWEST_TESTED)
                in_test[shuffled[:tested]] = True
        in_train &= ~in_test
    return np.flatnonzero(in_train), np.flatnonzero(in_test)


def _check(
    content: Content, readable: NDArray[np.bool_], train: NDArray[np.int64], where: str
) -> None:
    """Raise SourceError unless there is something to train on."""
    if not len(content.keys):
        raise SourceError(f"{where} holds no images.")
    if not len(train):
        raise SourceError(
            f"None of the training images of {where} can be read ({(~readable).sum()} are damaged)."
        )
    targets = content.targets[train]
    one_target = targets.min() >= 0 and targets.min() == targets.max()
    if len(content.class_names) == 1 or one_target:
        name = content.class_names[targets.max()]
        raise SourceError(
            f"{where} holds images of one class only ({name}), and two are needed: to name the "
            "classes while labelling, put the images beside each other in one folder."
        )


def _copy_rows(
    decoded: Path,
    rows: NDArray[np.int64],
    image_size: int,
    file: BinaryIO,
    update: Callable[[bytes], None],
) -> Work[NDArray[np.void]]:
    """Write ``rows`` of ``decoded`` (uint8 [*,3,S,S] without header) to ``file`` as .npy; return
    the digest of each."""
    began = time.monotonic()
    images = np.memmap(decoded, np.uint8, "r").reshape(-1, 3, image_size, image_size)
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *images.shape[1:])}
    np.lib.format.write_array_header_1_0(file, header)
    digests = []
    for done, row in enumerate(rows.tolist(), start=1):
        pixels = images[row].tobytes()
        file.write(pixels)
        update(pixels)
        digests.append(digest_of(pixels))
        if done % ROWS == 0 or done == len(rows):
            yield Progress("Storing", done, len(rows), "images", time.monotonic() - began)
    return np.frombuffer(b"".join(digests), f"V{DIGEST}")


def _valid_index(folder: Path) -> dict[str, Any] | None:
    """The index of a cached source; None where a file of it is missing or has changed."""
    try:
        digest, body = (folder / "index.json").read_text("utf-8").split("\n", 1)
        if digest != _sha256(body):
            return None
        index: dict[str, Any] = json.loads(body)
        return index if index["files"] == _file_stamps(folder) else None
    except (OSError, ValueError, KeyError):
        return None


def _file_stamps(folder: Path) -> dict[str, list[int]]:
    names = ("images.npy", "targets.npy", "digests.npy")
    stats = {name: os.stat(folder / name) for name in names}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
