"""Where images come from: the bundled digits, CIFAR-10, a folder of images, parquet files.

A source is listed first (names and sizes only, so that a cache can be checked at once) and read
only if it is not cached. Decoding its pictures is done elsewhere.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from al_core.errors import SourceError
from al_core.files.paths import located
from al_core.images import cifar10
from al_core.images.decoding import Content, FileStamp, Found
from al_core.images.folder import IMAGE_SUFFIXES, natural, printable, read_folder, walk
from al_core.images.parquet import is_parquet, read_parquet
from al_core.progress import Progress, Work

SOURCES = {
    "digits": "1,797 handwritten digits that come with scikit-learn; needs no network",
    "cifar10": "CIFAR-10: 60,000 photos of 10 kinds of animals and vehicles; downloads 170 MB once",
}

LISTED = 1000  # files listed between two reports
GONE = (-1, 0)  # size and time of a file that is missing

Reader = Callable[[Path, list[str]], Work[Content]]


def find(source: str) -> Work[Found]:
    """List a source without reading it: a name in SOURCES, or a path.

    Raises SourceError where there is nothing of that name, or no images in it. It reports before it
    starts: a slow disk takes minutes to list 100,000 files.
    """
    yield Progress("Listing", 0, 0, "files", 0)
    if source == "digits":
        return Found("digits", "", (), _read_digits)
    if source == "cifar10":
        return Found("cifar10", "", (), cifar10.read_downloaded)
    name, path = source.strip(), located(source)
    if not name or not os.path.exists(path):
        if Path(name).name != name or path.suffix:
            raise SourceError(f"There is no file or folder {path}: check the path, or its disk.")
        raise SourceError(
            f"“{source}” is no source: give {' or '.join(SOURCES)}, or the path of a folder of "
            "images or of parquet files."
        )
    try:
        return (yield from _stamped(*_look_at(path.resolve())))
    except OSError as error:
        raise SourceError(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def _look_at(path: Path) -> tuple[str, Path, Iterable[str], Reader, Iterable[str]]:
    """The kind of source at a path, where it lies, its files, their reader, and the links that are
    not followed."""
    for folder in (path, path / cifar10.FOLDER):
        if (folder / "data_batch_1").is_file():
            return "cifar10 folder", folder, os.listdir(folder), cifar10.read_folder, ()
    archive = path / cifar10.ARCHIVE if path.is_dir() else path
    if archive.is_file() and archive.name.lower().endswith((".tar.gz", ".tgz")):
        return "cifar10 archive", archive, [""], cifar10.read_archive, ()
    if path.is_file() and path.suffix.lower() == ".parquet":
        return "parquet", path, [""], read_parquet, ()
    if not path.is_dir():
        raise SourceError(
            f"{path} cannot be used: give a folder of images, a .parquet file or {cifar10.ARCHIVE}."
        )
    names, outside = walk(path, (*IMAGE_SUFFIXES, ".parquet"))
    if not names and outside:
        raise SourceError(
            f"{path} holds links alone that lead out of it, as {printable(outside[0])} does, and "
            "those are not followed: give a folder that holds what they lead to as well."
        )
    if not names:
        raise SourceError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)}) and no .parquet.")
    if any(map(is_parquet, names)):
        return "parquet", path, names, read_parquet, outside
    return "folder", path, names, read_folder, outside


def _stamped(
    kind: str, path: Path, names: Iterable[str], reader: Reader, outside: Iterable[str]
) -> Work[Found]:
    """Stamp the files ``names`` below ``path`` and bind their reader to them; ``outside`` names the
    links that are not followed."""
    ordered = sorted(names, key=natural)
    links = sorted(outside, key=natural)
    stamps: list[FileStamp] = []
    began = time.monotonic()
    for name in ordered:
        stamps.append(_stamp(path, name))
        if len(stamps) % LISTED == 0:
            passed = time.monotonic() - began
            yield Progress("Listing", len(stamps), len(ordered), "files", passed)
    stamps += [(name, *GONE) for name in links]

    def read(_image_size: int, _cache_dir: Path) -> Work[Content]:
        content = yield from reader(path, ordered)
        return replace(content, left_out=(*content.left_out, *map(printable, links)))

    return Found(kind, str(path), tuple(stamps), read)


def _stamp(root: Path, name: str) -> FileStamp:
    try:
        stat = os.stat(os.path.join(root, name) if name else root)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):  # a dangling link, or one to itself
            return name, *GONE
        raise
    return name, stat.st_size, stat.st_mtime_ns


def _read_digits(image_size: int, _cache_dir: Path) -> Work[Content]:
    """8x8 grey values from 0 to 16, enlarged by repeating pixels to stay crisp."""
    from sklearn.datasets import load_digits

    yield from ()
    digits = load_digits()
    pixels = np.arange(image_size) * 8 // image_size
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return Content(
        keys=[f"digits/{i:04d}" for i in range(len(grey))],
        targets=digits.target.astype(np.int64),
        in_test=np.zeros(len(grey), dtype=np.bool_),
        class_names=tuple(str(name) for name in digits.target_names),
        pictures=(np.stack([digit[pixels][:, pixels]] * 3, axis=-1) for digit in grey),
    )
