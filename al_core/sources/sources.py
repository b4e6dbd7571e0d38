"""Where images come from: the bundled digits, CIFAR-10, a folder or a .zip of images, tables.

A source is listed first (names and sizes only, so that a cache can be checked at once) and read
only if it is not cached. Decoding its pictures is done elsewhere.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from al_core.errors import SourceError
from al_core.files.paths import located
from al_core.progress import Progress, Work
from al_core.sources import cifar10
from al_core.sources.archive import Zip
from al_core.sources.content import Content, FileStamp, Found, Picture
from al_core.sources.folder import read_folder, without_classes
from al_core.sources.formats import ENDINGS, what_would_read
from al_core.sources.label_tables import read_label_tables
from al_core.sources.listing import ROWS, Listing, natural, printable, walk
from al_core.sources.parquet import read_parquet
from al_core.sources.tables import is_parquet

SOURCES = {
    "digits": "1,797 handwritten digits that come with scikit-learn; needs no network",
    "cifar10": "CIFAR-10: 60,000 photos of 10 kinds of animals and vehicles; downloads 170 MB once",
}

LISTED = 1000  # files listed between two reports
GONE = (-1, 0)  # size and time of a file that is missing


def find(source: str, *, folders_are_classes: bool | None = True) -> Work[Found]:
    """List a source without reading it: a name in SOURCES, or a path, perhaps quoted or as
    ``file://``. Without ``folders_are_classes`` no folder gives its images a class; with None, no
    folder and no table says anything of them.

    Raises SourceError where there is nothing of that name, or no images in it.
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
        return (yield from _look_at(path.resolve(), folders_are_classes))
    except OSError as error:
        raise SourceError(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def _look_at(path: Path, folders_are_classes: bool | None) -> Work[Found]:
    """The source at a path, by what lies there."""
    for folder in (path, path / cifar10.FOLDER):
        if (folder / "data_batch_1").is_file():
            names = sorted(os.listdir(folder))
            return (yield from _found("cifar10 folder", folder, names, cifar10.read_folder))
    archive = path / cifar10.ARCHIVE if path.is_dir() else path
    if archive.is_file() and archive.name.lower().endswith((".tar.gz", ".tgz")):
        return (yield from _found("cifar10 archive", archive, [""], cifar10.read_archive))
    if path.is_dir():
        return (yield from _in_folder(path, folders_are_classes))
    ending = path.suffix.lower()
    if ending in ROWS:
        return (yield from _found(ending[1:], path, [""], read_parquet))
    if ending == ".zip":
        read = partial(_read_zip, folders_are_classes=folders_are_classes)
        return (yield from _found("zip", path, [""], read))
    raise SourceError(
        f"{path} cannot be used: give a folder of images or a .zip of one, a .parquet file or "
        f"{cifar10.ARCHIVE}."
    )


def _in_folder(path: Path, folders_are_classes: bool | None) -> Work[Found]:
    listing = yield from walk(path)
    absent = listing.left_out
    if listing.rows:
        kind = "parquet" if any(map(is_parquet, listing.rows)) else "arrow"
        names = [name for name in listing.rows if name.lower().endswith(f".{kind}")]

        def read_rows(root: Path, names: list[str]) -> Work[Content]:
            content = yield from read_parquet(root, names)
            left_out = (*content.left_out, *map(printable, absent))
            return replace(content, left_out=left_out, others=dict(listing.others))

        return (yield from _found(kind, path, names, read_rows, absent))
    if not listing.pictures:
        raise SourceError(_nothing_in(path, listing))
    empty = [f"{folder}/" for folder in listing.folders]

    def read(root: Path, _: list[str]) -> Work[Content]:
        yield from ()
        return _read_listing(
            str(root),
            listing,
            lambda name: root / name,
            lambda name: (root / name).read_bytes(),
            folders_are_classes,
        )

    names = listing.pictures + listing.tables
    return (yield from _found("folder", path, names, read, absent + empty))


def _nothing_in(path: Path, listing: Listing) -> str:
    if listing.links_out:
        return (
            f"{path} holds links alone that lead out of it, as {printable(listing.links_out[0])} "
            "does, and those are not followed: give a folder that holds what they lead to as well."
        )
    more = what_would_read(listing.unread)
    return f"{path} holds no images ({', '.join(ENDINGS)}) and no .parquet. {more}".strip()


def _read_zip(path: Path, _: list[str], *, folders_are_classes: bool | None) -> Work[Content]:
    yield from ()
    archive = Zip(path)
    if not archive.listing.pictures:
        raise SourceError(_nothing_in(path, archive.listing))
    return _read_listing(
        str(path), archive.listing, archive.picture, archive.contents, folders_are_classes
    )


def _read_listing(
    where: str,
    listing: Listing,
    picture_of: Callable[[str], Picture],
    contents: Callable[[str], bytes],
    folders_are_classes: bool | None,
) -> Content:
    """The images of a folder, with the labels of the tables in it."""
    if folders_are_classes is None:
        return without_classes(listing, picture_of)
    tables = read_label_tables(where, listing.tables, listing.pictures, contents)
    content = read_folder(
        where, listing, picture_of, labels=tables.labels, folders_are_classes=folders_are_classes
    )
    return replace(
        content,
        left_out=(*content.left_out, *map(printable, tables.missing)),
        notes=(*content.notes, *tables.notes),
    )


def _found(
    kind: str,
    path: Path,
    names: Sequence[str],
    reader: Callable[[Path, list[str]], Work[Content]],
    absent: Sequence[str] = (),
) -> Work[Found]:
    """Stamp the files ``names`` below ``path`` and bind their reader to them; ``absent`` names what
    is listed and not read, which changes what a cache holds as well."""
    ordered = sorted(names, key=natural)
    stamps: list[FileStamp] = []
    touched: list[int] = []
    began = time.monotonic()
    for name in ordered:
        stamp, changed = _stamp(path, name)
        stamps.append(stamp)
        touched.append(changed)
        if len(stamps) % LISTED == 0:
            passed = time.monotonic() - began
            yield Progress("Listing", len(stamps), len(ordered), "files", passed)
    stamps += [(name, *GONE) for name in sorted(absent, key=natural)]

    def read(_image_size: int, _cache_dir: Path) -> Work[Content]:
        return (yield from reader(path, ordered))

    return Found(kind, str(path), tuple(stamps), read, tuple(touched))


def _stamp(root: Path, name: str) -> tuple[FileStamp, int]:
    """The stamp of a file, and when its entry was changed, as by another name."""
    try:
        stat = os.stat(os.path.join(root, name) if name else root)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):  # a dangling link, or one to itself
            return (name, *GONE), 0
        raise
    return (name, stat.st_size, stat.st_mtime_ns), stat.st_ctime_ns


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
