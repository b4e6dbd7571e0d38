"""Files that are written whole or not at all, and are on the disk once they have their name."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from al_core.errors import FileNotWritten

PART = ".part"  # how the names end of files that are not whole yet
MANY_FILES = 100  # in a folder: then one wait for the whole disk is shorter than one for each


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, in a folder that is made if need be: it appears at ``path`` once it is
    complete and on the disk.

    Raises FileNotWritten where the disk refuses, and then ``path`` is as it was.
    """
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_path(path) as half, half.open("wb") as file:
        yield file


@contextmanager
def whole_text(path: Path) -> Iterator[TextIO]:
    """The same for text in UTF-8, whose ends of lines stay as they are, in a folder that is there:
    whoever mistypes its name is told."""
    with whole_path(path) as half, half.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def whole_path(path: Path, instead: bool = False) -> Iterator[Path]:
    """Where to write a file, or make a folder, that appears at ``path`` once it is complete and on
    the disk.

    A folder that stands there gives way only ``instead``. Raises FileNotWritten where the disk
    refuses.
    """
    half = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        with refusals(path):
            yield half
            put_in_place(half, path, instead)
    finally:
        remove(half)


def put_in_place(half: Path, path: Path, instead: bool = False) -> None:
    """Give what was written at ``half`` its name ``path``, once it is on the disk; for files that
    work which was stopped goes on with. Raises OSError."""
    written = [half, *half.rglob("*")]
    if len(written) > MANY_FILES and hasattr(os, "sync"):
        os.sync()
    else:
        for each in written:
            _settle(each)
    for _ in range(10 if instead else 0):
        remove(path)
        with suppress(OSError):  # another server has put its own there since
            half.replace(path)
            break
    else:
        half.replace(path)
    _settle(path.parent)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn what the disk refuses at ``path`` into FileNotWritten, a sentence."""
    try:
        yield
    except OSError as error:
        raise FileNotWritten(
            f"{path} cannot be written ({error.strerror or error}); make room on the disk, or see "
            "that its folder is there and may be written to."
        ) from error


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Have what was written reach the disk: a power cut may come right after the rename."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if not is_folder:  # which not every system opens
            raise
