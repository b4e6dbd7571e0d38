"""Files written whole or not at all, and on the disk once they have their name."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from al_core.errors import FileNotWritten

PART = ".part"  # suffix of files that are not whole yet
MANY_FILES = 100  # in a folder; above this, one sync of the whole disk is faster than one per file


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears at ``path`` once it is complete and on the disk; its folder is
    made if need be. Raises FileNotWritten where the disk refuses, and leaves ``path`` as it was.
    """
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_path(path) as half, half.open("wb") as file:
        yield file


@contextmanager
def whole_text(path: Path) -> Iterator[TextIO]:
    """The same for UTF-8 text, with line endings kept as they are. The folder must exist, so that
    a mistyped name is an error."""
    with whole_path(path) as half, half.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def whole_path(path: Path, instead: bool = False) -> Iterator[Path]:
    """Where to write a file, or make a folder, that appears at ``path`` once it is complete and on
    the disk. A folder already there is replaced only with ``instead``. Raises FileNotWritten where
    the disk refuses.
    """
    half = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        with refusals(path):
            yield half
            put_in_place(half, path, instead)
    finally:
        remove(half)


def put_in_place(half: Path, path: Path, instead: bool = False) -> None:
    """Sync ``half`` to the disk, then rename it to ``path``; called directly for files that stopped
    work resumes. Raises OSError."""
    written = [half, *half.rglob("*")]
    if len(written) > MANY_FILES and hasattr(os, "sync"):
        os.sync()
    else:
        for each in written:
            _sync(each)
    for _ in range(10 if instead else 0):
        remove(path)
        with suppress(OSError):  # another server has put its own there meanwhile
            half.replace(path)
            break
    else:
        half.replace(path)
    _sync(path.parent)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn an OSError at ``path`` into FileNotWritten, a sentence."""
    try:
        yield
    except OSError as error:
        raise FileNotWritten(
            f"{path} cannot be written ({error.strerror or error}); make room on the disk, or see "
            "that its folder is there and may be written to."
        ) from error


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists and can be removed."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush what was written to the disk: a power cut may come right after the rename."""
    is_folder = path.is_dir()
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        if not is_folder:  # not every system can open a folder
            raise
