"""Where images come from: the bundled digits, CIFAR-10, a folder of images, parquet files.

A source is found first (names and sizes only, so that a cache can be checked at once) and read
when there is no cache of it. What its pictures look like decoded is not decided here.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from al_core import cifar10
from al_core.errors import SourceError
from al_core.parquet import is_parquet, read_parquet
from al_core.pictures import Content, FileStamp, Found
from al_core.progress import Progress, Work

SOURCES = {
    "digits": "1,797 handwritten digits that come with scikit-learn; needs no network",
    "cifar10": "CIFAR-10: 60,000 photos of 10 kinds of animals and vehicles; downloads 170 MB once",
}

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
LISTED = 1000  # files looked at between two reports
GONE = (-1, 0)  # size and time of what is not there
TEST_FOLDERS = ("test", "val", "validation", "valid")  # the first of them that holds classes

Reader = Callable[[Path, list[str]], Work[Content]]


def find(source: str) -> Work[Found]:
    """Look at a source without reading it: a name out of SOURCES, or a path.

    Raises SourceError where there is nothing of that name, or no images in it. It reports before it
    looks: a slow disk takes minutes to list 100,000 files.
    """
    yield Progress("Listing", 0, 0, "files", 0)
    if source == "digits":
        return Found("digits", "", (), _read_digits)
    if source == "cifar10":
        return Found("cifar10", "", (), cifar10.read_downloaded)
    name = os.path.expanduser(source.strip())
    path = Path(name)
    if not name or not os.path.exists(path):
        if path.name != name or path.suffix:
            raise SourceError(f"There is no file or folder {path}: check the path, or its disk.")
        raise SourceError(
            f"“{source}” is no source: give {' or '.join(SOURCES)}, or the path of a folder of "
            "images or of parquet files."
        )
    try:
        return (yield from _found(*_look_at(path.resolve())))
    except OSError as error:
        raise SourceError(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def _look_at(path: Path) -> tuple[str, Path, Iterable[str], Reader, Iterable[str]]:
    """What kind of source a path is, where it lies, its files, who reads them, and which links are
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
    names, outside = _walk(path, (*IMAGE_SUFFIXES, ".parquet"))
    if not names and outside:
        raise SourceError(
            f"{path} holds links alone that lead out of it, as {printable(outside[0])} does, and "
            "those are not followed: give a folder that holds what they lead to as well."
        )
    if not names:
        raise SourceError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)}) and no .parquet.")
    if any(map(is_parquet, names)):
        return "parquet", path, names, read_parquet, outside
    return "folder", path, names, _read_folder, outside


def _found(
    kind: str,
    path: Path,
    names: Iterable[str],
    reader: Reader,
    outside: Iterable[str],
) -> Work[Found]:
    """Stamp the files ``names`` below ``path`` and bind its reader to them; ``outside`` names the
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


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts img2 before img10."""
    pieces = re.split(r"([0-9]+)", name.casefold())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def _walk(root: Path, suffixes: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Names relative to ``root``, joined by "/", of the files whose names end in ``suffixes``; and
    of the links that lead out of it, which are not followed: who names a folder means what is in
    it, and a data set from elsewhere has no business with other files of this machine."""
    names: list[str] = []
    outside: list[str] = []
    above: tuple[str, ...] = (str(root),)
    folders = [("", above, False)]  # with those that hold it, and whether a link led there
    while folders:
        prefix, above, by_link = folders.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name, is_link = f"{prefix}{entry.name}", entry.is_symlink()
                # Of os.path, which takes a link to itself for nothing; else without another look.
                is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()
                is_wanted = entry.name.lower().endswith(suffixes)
                if is_link and not Path(os.path.realpath(entry.path)).is_relative_to(root):
                    if is_folder or is_wanted:
                        outside.append(f"{name}/" if is_folder else name)
                elif is_folder:
                    real = os.path.realpath(entry.path)
                    # Not again what holds it; nor links behind links, which never end where each
                    # of many folders links to all.
                    if real not in above and not (is_link and by_link):
                        folders.append((f"{name}/", (*above, real), is_link or by_link))
                elif is_wanted and _is_file_or_dangling(entry):
                    names.append(name)
    return names, outside


def _is_file_or_dangling(entry: os.DirEntry[str]) -> bool:
    """Not a pipe, which would be waited on for ever; a link to nothing is listed as unreadable."""
    if not entry.is_symlink():
        return entry.is_file()
    return os.path.isfile(entry.path) or not os.path.exists(entry.path)


def _stamp(root: Path, name: str) -> FileStamp:
    try:
        stat = os.stat(os.path.join(root, name) if name else root)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):  # a link to nothing, or to itself
            return name, *GONE
        raise
    return name, stat.st_size, stat.st_mtime_ns


def _read_digits(image_size: int, _cache_dir: Path) -> Work[Content]:
    """8x8 greys of 0 to 16, enlarged by repeating pixels so that they stay crisp."""
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


def _read_folder(root: Path, names: list[str]) -> Work[Content]:
    """Images in ``train/<class>/`` and ``test/<class>/``, in ``<class>/``, or without classes.

    An image's class is the first folder below the root or below ``train``, however deep it lies.
    Where more images lie beside the class folders than in them, none has a class; fewer are
    left out. A test folder is used only where both it and the training images have classes.
    """
    yield from ()
    train, test = _halves(names)
    class_of = {name: rest.partition("/")[0] for name, rest in train.items() if "/" in rest}
    class_names = sorted(set(class_of.values()), key=natural)
    chosen = list(train)
    left_out: list[str] = []
    if 2 * len(class_of) < len(train):
        class_of, class_names = {}, []
    else:
        class_of |= {name: rest.partition("/")[0] for name, rest in test.items() if "/" in rest}
        chosen = [name for name in (*train, *test) if name in class_of]
        left_out = [name for name in (*train, *test) if name not in class_of]
    number = {name: i for i, name in enumerate(class_names)}
    if strangers := sorted(set(class_of.values()) - set(number), key=natural):
        raise SourceError(
            f"{root} tests classes that its training images do not have: "
            f"{', '.join(map(printable, strangers))}."
        )
    keys = [printable(name) for name in chosen]
    if twice := [key for key, count in Counter(keys).items() if count > 1]:
        raise SourceError(f"{root} has two files that are both shown as {twice[0]}; rename one.")
    return Content(
        keys=keys,
        targets=np.array([number.get(class_of.get(n, ""), -1) for n in chosen], dtype=np.int64),
        in_test=np.array([name in test for name in chosen], dtype=np.bool_),
        class_names=tuple(map(printable, class_names)),
        pictures=(root / name for name in chosen),
        left_out=tuple(map(printable, left_out)),
    )


def _halves(names: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Training and test images, each with its name below the folder of its half.

    ``train`` among other folders, without folders of its own, is a class (cars, planes, trains).
    """
    below: dict[str, dict[str, str]] = {}
    for name in names:
        top, slash, rest = name.partition("/")
        below.setdefault(top.casefold() if slash else "", {})[name] = rest
    train = below.get("train", {})
    others = below.keys() - {"train", "", *TEST_FOLDERS}
    if not train or (others and not _has_classes(train)):
        return dict(zip(names, names, strict=True)), {}
    tests = (below.get(name, {}) for name in TEST_FOLDERS)
    return train, next((test for test in tests if _has_classes(test)), {})


def _has_classes(half: dict[str, str]) -> bool:
    return any("/" in rest for rest in half.values())


def printable(name: str) -> str:
    """``name`` as text that can be stored and shown, also where its bytes are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
