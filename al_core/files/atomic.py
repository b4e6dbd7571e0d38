"""Files written whole or not at all, and on the disk once they have their name.

A link stays one, and what it leads to is written. A device or a pipe stays too, and gets the whole
content at the end. A file that is written over keeps its owner and its permissions; one of several
names, or that cannot be replaced, is written into, and is whole unless the disk gives out; but not
what the program keeps.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import BinaryIO, TextIO

from al_core.errors import FileNotWritten
from al_core.files.paths import is_kept

PART = ".part"  # suffix of files that are not whole yet
TOKEN = 8  # random bytes in the name of such a file
MANY_FILES = 100  # in a folder; above this, one sync of the whole disk is faster than one per file
NOT_REPLACED = (errno.EBUSY, errno.EPERM, errno.EACCES, errno.EXDEV)
USED_S = 86_400  # seconds for which a use is not noted again
LINKS = 40  # that lead from one to the next, as many as Linux follows


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
    with refusals(path):
        if is_stream(path):
            with TemporaryDirectory() as folder:  # others may not look into it
                yield (half := Path(folder) / path.name)
                with half.open("rb") as whole, _stream(path) as stream:
                    shutil.copyfileobj(whole, stream)
            return
        half = _half(path)
    try:
        with refusals(path):
            yield half
            target = Path(os.path.realpath(path))
            if target.is_file():
                _write_over(target, half)
            else:
                put_in_place(half, target, instead)
    finally:
        remove(half)


def _write_over(target: Path, half: Path) -> None:
    """Let a file have the content of ``half``, and keep its owner, its permissions and its other
    names. Where it cannot be replaced, as one that a container was given, it is written into."""
    now = target.stat()
    if hasattr(os, "chown"):  # Windows has no owners
        with suppress(OSError):  # not everybody may
            os.chown(half, now.st_uid, now.st_gid)
    shutil.copymode(target, half)
    ours = is_kept(target)  # never in halves; a second name is that of somebody's backup
    if ours or now.st_nlink == 1:
        try:
            put_in_place(half, target)
        except OSError as error:
            if ours or error.errno not in NOT_REPLACED:
                raise
        else:
            return
    with half.open("rb") as whole, target.open("wb") as file:
        shutil.copyfileobj(whole, file)
    _sync(target)


def remove_halves(path: Path, also: str = "") -> None:
    """Remove what killed programs have left of ``path`` that is not whole, and what SQLite had
    beside it; with a pattern ``also``, the same of files whose names go on like that. Only for who
    holds a lock without which nobody writes them."""
    for name in {path.name, f"{path.name}{also}"}:
        for half in path.parent.glob(f"{name}.{'?' * 2 * TOKEN}{PART}*"):
            remove(half)


def is_stream(path: Path) -> bool:
    """Whether ``path`` leads to a device, a pipe or an open file of this process: what is written
    there flows on, and cannot be replaced. Raises OSError for a link that leads to itself."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return _descriptor(path) is not None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_writable(path: Path, folder: bool = False) -> None:
    """Raise FileNotWritten where :func:`whole_path` could not write a file, or make a ``folder``,
    at ``path``, and where the program's own files are: it is tried with an empty one beside it."""
    if is_kept(path):
        raise FileNotWritten(f"{path} is one of the files that this program keeps; name another.")
    with refusals(path):
        if (number := _descriptor(path)) is not None:
            os.write(number, b"")
        with suppress(FileNotFoundError):
            path.lstat()  # a name that is too long raises here
        if path.exists():
            if _descriptor(path) is None and not os.access(path, os.W_OK):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            if folder != path.is_dir():
                code = errno.ENOTDIR if folder else errno.EISDIR
                raise OSError(code, os.strerror(code))
            if folder and any(path.iterdir()):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        if not is_stream(path):
            half = _half(path)
            half.touch(exist_ok=False)
            remove(half)


def _half(path: Path) -> Path:
    """Where a file is written until it is whole: beside what ``path`` leads to, or elsewhere if
    that may be written to and its folder may not."""
    target = Path(os.path.realpath(path))
    token = secrets.token_hex(TOKEN)
    name = f"{target.name[:40]}.{token}{PART}"  # a longer name than any is refused
    if target.is_file() and not os.access(target.parent, os.W_OK):
        return Path(gettempdir()) / name
    return target.with_name(name)


def _stream(path: Path) -> BinaryIO:
    """Open a device or a pipe. A descriptor of this process is written on where it stands: opened
    by its name, the file behind it would be cut to nothing."""
    number = _descriptor(path)
    return path.open("wb") if number is None else os.fdopen(os.dup(number), "wb")


def _descriptor(path: Path) -> int | None:
    """The number of the open file that ``path`` names, as /dev/stdout and /dev/fd/3 do."""
    for _ in range(LINKS):
        if os.path.realpath(path.parent) == os.path.realpath("/dev/fd"):
            return int(path.name) if path.name.isdecimal() else None
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    return None


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


def note_use(path: Path) -> None:
    """Give a file or a folder that can be computed again the time at which it was last used, if
    that is a day ago: to write is dearer than to read."""
    with suppress(OSError):  # others may own it, and Windows gives folders no time
        if time.time() - path.stat().st_mtime > USED_S:
            os.utime(path)


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
