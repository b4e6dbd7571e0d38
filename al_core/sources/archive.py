"""A .zip of a folder of images, read without unpacking it to the disk."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from al_core.errors import SourceError
from al_core.sources.content import Picture
from al_core.sources.listing import Listing, ending_of, is_litter

MOST_FILES = 1_000_000
MOST_UNPACKED = 1 << 38  # bytes of all files: 256 GiB
MOST_OF_A_FILE = 1 << 28  # bytes of one, which is read as a whole
MOST_OF_DIRECTORY = 1 << 28  # bytes of the list of files at its end, likewise
UNREADABLE = (zipfile.BadZipFile, OSError, RuntimeError, EOFError, ValueError, zlib.error,
              struct.error)  # fmt: skip
"""What a damaged, encrypted or unusual file in an archive raises."""


class _Sparing(io.BufferedReader):
    """A file that gives at most ``most`` bytes at once: zipfile reads the list of files whole, as
    long as the archive says that it is."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(io.FileIO(path))
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise zipfile.BadZipFile("too many files")
        return super().read(size)


def open_archive(path: Path, most: int = MOST_OF_DIRECTORY) -> zipfile.ZipFile:
    """An archive whose list of files has at most so many bytes; its ``fp`` is for the caller to
    close. Raises SourceError."""
    try:
        return zipfile.ZipFile(_Sparing(path, most))
    except UNREADABLE as error:
        raise SourceError(f"{path} is damaged or is no .zip file.") from error


class Zip:
    """An open archive. ``listing``: what lies in it, below the one folder that holds all of it if
    there is one, as where a folder was packed. Raises SourceError where it is damaged or too
    large."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = open_archive(path)
        members = self._archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if len(members) > MOST_FILES or unpacked > MOST_UNPACKED:
            raise SourceError(
                f"{path} holds {len(members):,} files of {unpacked >> 30:,} GiB: unpack it, and "
                "give the folder."
            )
        names = {m.filename.replace("\\", "/"): m for m in members}
        aside = {name: litter(name) for name in names}
        kept = [name for name in names if not aside[name]]
        start = one_folder(kept)
        self._members = {name.removeprefix(start): names[name] for name in kept}
        self.listing = self._listed()
        for name, top in sorted(aside.items()):
            if top and not names[name].is_dir():
                self.listing.set_aside(name.removeprefix(start), top.removeprefix(start))

    def _listed(self) -> Listing:
        found = Listing()
        folders: set[str] = set()
        for name, member in self._members.items():
            above = name.rpartition("/")[0]
            while above and above not in folders:
                folders.add(above)
                above = above.rpartition("/")[0]
            if name and not member.is_dir():
                found.take(name, b"" if ending_of(name) else self._read(name, 32))
        found.folders = list(folders)
        return found.settle()

    def picture(self, name: str) -> Picture:
        """The bytes of a file; none where it is damaged, encrypted or too large."""
        return self._read(name)

    def contents(self, name: str) -> bytes:
        """The same of a table."""
        return self._read(name)

    def _read(self, name: str, most: int = MOST_OF_A_FILE) -> bytes:
        member = self._members[name]
        if member.file_size > MOST_OF_A_FILE:
            return b""
        try:
            with self._archive.open(member) as file:
                return file.read(most)  # never more than its header says
        except UNREADABLE:
            return b""


def litter(name: str) -> str:
    """The name as far as the folder or file that is litter; all of one that leads out of the
    archive; empty without."""
    parts = name.split("/")
    if ".." in parts or name.startswith("/"):
        return name
    for i, part in enumerate(parts):
        if part not in ("", ".") and is_litter(part):
            return "/".join(parts[: i + 1]) + ("/" if i + 1 < len(parts) else "")
    return ""


def one_folder(names: Sequence[str]) -> str:
    """The folder that holds all of these, with "/" at its end; empty without one."""
    tops = {name.partition("/")[0] for name in names}
    if len(tops) == 1 and all("/" in name for name in names):
        return f"{tops.pop()}/"
    return ""
