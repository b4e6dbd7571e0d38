"""A folder of images: which files count, and the class of each."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from al_core.errors import SourceError
from al_core.images.decoding import Content
from al_core.progress import Work

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
TEST_FOLDERS = ("test", "val", "validation", "valid")  # the first that holds classes is used


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts img2 before img10."""
    pieces = re.split(r"([0-9]+)", name.casefold())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def walk(root: Path, suffixes: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Names relative to ``root``, joined by "/", of the files whose names end in ``suffixes``; and
    of the links that lead out of it. Those are not followed: a folder means what is in it, and a
    downloaded data set has no business with other files of this machine."""
    names: list[str] = []
    outside: list[str] = []
    above: tuple[str, ...] = (str(root),)
    folders = [("", above, False)]  # with the folders above it, and whether a link led there
    while folders:
        prefix, above, by_link = folders.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name, is_link = f"{prefix}{entry.name}", entry.is_symlink()
                # os.path treats a link to itself as nothing; the entry itself needs no system call.
                is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()
                is_wanted = entry.name.lower().endswith(suffixes)
                if is_link and not Path(os.path.realpath(entry.path)).is_relative_to(root):
                    if is_folder or is_wanted:
                        outside.append(f"{name}/" if is_folder else name)
                elif is_folder:
                    real = os.path.realpath(entry.path)
                    # Skip folders above this one, and links behind links, which would never end
                    # where each of many folders links to all.
                    if real not in above and not (is_link and by_link):
                        folders.append((f"{name}/", (*above, real), is_link or by_link))
                elif is_wanted and (os.path.isfile(entry.path) or not os.path.exists(entry.path)):
                    names.append(name)  # a dangling link is unreadable; a pipe would block forever
    return names, outside


def read_folder(root: Path, names: list[str]) -> Work[Content]:
    """Images in ``train/<class>/`` and ``test/<class>/``, in ``<class>/``, or without classes.

    An image's class is the first folder below the root or below ``train``, however deep it lies.
    If more images lie beside the class folders than in them, none has a class; if fewer, those
    beside are left out. A test folder is used only if both it and the training images have classes.
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

    ``train`` beside other folders, without subfolders, is a class (as of cars, planes, trains).
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
    """``name`` as text that can be stored and shown, even where its bytes are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
