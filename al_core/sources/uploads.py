"""Pictures that somebody uploads: they arrive in a folder of their own, which becomes a source."""

from __future__ import annotations

import json
import secrets
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from al_core.errors import FileNotWritten, SourceError
from al_core.files.atomic import PART, put_in_place, refusals, remove
from al_core.files.locks import try_lock
from al_core.files.safe_names import as_files, numbered, safe_name
from al_core.progress import Progress, Work
from al_core.sources.archive import MOST_OF_A_FILE, UNREADABLE, litter, one_folder, open_archive
from al_core.sources.formats import formats, readable, sniffed
from al_core.sources.listing import OF_UPLOAD, TABLES, ending_of, is_litter
from al_core.sources.split_words import split_of

MOST_FILES = 100_000  # in an upload, those of its archives among them
MOST_BYTES = 1 << 33  # of an upload: 8 GiB
MOST_UNPACKED = 1 << 34  # bytes of the pictures in its archives
MOST_OF_DIRECTORY = 1 << 24  # bytes of an archive's list of files
TOO_MUCH = (
    f"At most {MOST_FILES:,} files and {MOST_BYTES >> 30} GiB can be uploaded at once: put more "
    "into a folder on the machine that runs the desk, and give its path."
)
LEFT_FREE = 1 << 30  # bytes of the disk: labels have to be written too
REPORTED_S = 0.2  # seconds between two reports
AT_ONCE = 1 << 20  # bytes


class Uploaded(NamedTuple):
    """What became of an upload: its ``folder``, and how many ``pictures`` lie in it."""

    folder: Path
    pictures: int


def left_out_of(folder: Path) -> list[str]:
    """The names that were left out of an upload; empty for any other folder."""
    try:
        names = json.loads((folder / OF_UPLOAD).read_text("utf-8"))
        return [str(name) for name in names]
    except (OSError, ValueError, TypeError):
        return []


def check_bounds(files: Sequence[tuple[str, int]]) -> None:
    """Raise SourceError where files of these names and sizes in bytes are too much to upload."""
    if len(files) > MOST_FILES or sum(size for _, size in files) > MOST_BYTES:
        raise SourceError(TOO_MUCH)


class Incoming:
    """An upload of ``files`` (names, sizes in bytes) to a new folder below ``root``, whose content
    comes file after file by :meth:`write`. Nothing is left of it after :meth:`remove`, unless
    :meth:`settle` has ended. For one thread at a time. Raises SourceError where it is too much, and
    FileNotWritten."""

    def __init__(self, root: Path, files: Sequence[tuple[str, int]]) -> None:
        check_bounds(files)
        self._root, self._files = root, files
        arriving = root / ".arriving"
        with refusals(arriving):
            arriving.mkdir(parents=True, exist_ok=True)
            _sweep(arriving)
            self._check_room(sum(size for _, size in files))
            self._half = arriving / f"{secrets.token_hex(8)}{PART}"
            self._lock = try_lock(self._half.with_suffix(".lock"))  # before there is a folder
            self._half.mkdir()
        self._into = self._half / "pictures"
        self._number, self._here = -1, 0  # the file that comes, and how much of it is to come
        self._unpacked, self._members, self._pictures = 0, 0, 0
        self._taken: set[str] = set()  # files, as all file systems would know them
        self._folders: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last that a file of this name was given
        self._left_out: list[str] = []

    def write(self, content: bytes) -> None:
        """Take the next bytes. Raises SourceError for more than was announced."""
        self._check_room(len(content))
        rest = memoryview(content)
        with refusals(self._root):
            while rest:
                while not self._here:
                    self._number += 1
                    if self._number == len(self._files):
                        raise SourceError("The upload is longer than it said: nothing was kept.")
                    self._here = self._files[self._number][1]
                piece, rest = rest[: self._here], rest[self._here :]
                with (self._half / str(self._number)).open("ab") as file:
                    file.write(piece)
                self._here -= len(piece)

    def settle(self) -> Work[Uploaded]:
        """Unpack archives, keep what is a picture or a table of labels, and list the rest; the
        folder appears whole. Raises SourceError where something is missing, and where nothing of it
        is a picture."""
        if self._here or any(size for _, size in self._files[self._number + 1 :]):
            raise SourceError("The upload broke off: nothing was kept; upload it again.")
        began = told = time.monotonic()
        with refusals(self._root):
            self._into.mkdir()
            for number, (name, size) in enumerate(self._files):
                path = self._half / str(number)
                if not size:
                    self._left_out.append(name)
                elif ending_of(name) == ".zip":
                    yield from self._unpack(path, name)
                else:
                    self._keep(name, path)
                if (now := time.monotonic()) - told > REPORTED_S:
                    told = now
                    yield Progress("Looking", number + 1, len(self._files), "files", now - began)
            if not self._pictures:
                names = ", ".join(self._left_out[:3]) + " …" * (len(self._left_out) > 3)
                raise SourceError(f"No picture that can be read was uploaded ({names}).")
            (self._into / OF_UPLOAD).write_text(json.dumps(self._left_out), "utf-8")
            return Uploaded(self._put_in_place(), self._pictures)

    def remove(self) -> None:
        """Remove all that is not settled."""
        remove(self._half)
        if self._lock is not None:
            self._lock.release()
        remove(self._half.with_suffix(".lock"))

    def _unpack(self, path: Path, name: str) -> Work[None]:
        """Keep the pictures of an archive, in its folders."""
        try:
            archive = open_archive(path, MOST_OF_DIRECTORY)
        except SourceError as error:
            raise SourceError(f"{name} is damaged or is no .zip file.") from error
        assert archive.fp is not None
        with archive, closing(archive.fp):
            members = [one for one in archive.infolist() if not one.is_dir()]
            self._members += len(members)
            few = self._members <= MOST_FILES
            wanted = [one for one in members if self._is_wanted(archive, one)] if few else []
            self._unpacked += sum(one.file_size for one in wanted)
            if not few or self._unpacked > MOST_UNPACKED:
                raise SourceError(
                    f"{name} holds more than {MOST_FILES:,} files, or more than "
                    f"{MOST_UNPACKED >> 30} GiB of pictures: upload it in parts."
                )
            start, above = self._place_of(name, [_plain(one) for one in wanted])
            began = told = time.monotonic()
            for done, one in enumerate(wanted):
                self._check_room(one.file_size)
                if self._extract(archive, one, self._half / "member"):
                    self._keep(above + _plain(one).removeprefix(start), self._half / "member")
                else:
                    self._left_out.append(_plain(one))
                if (now := time.monotonic()) - told > REPORTED_S:
                    told = now
                    yield Progress("Unpacking", done, len(wanted), "files", now - began)
        path.unlink()

    def _place_of(self, name: str, members: Sequence[str]) -> tuple[str, str]:
        """What the names of an archive's ``members`` lose at their start, and what stands there
        instead. One that came alone stays as it is. Of one that came with others the folders are
        classes beside theirs; only if it has none, or has a table, is it a folder of its own."""
        if len(self._files) == 1:
            return "", ""
        start = one_folder(members)
        if not any("/" in one.removeprefix(start) for one in members) or split_of(start[:-1]):
            start = ""
        is_flat = not any("/" in one for one in members)
        others = sum(ending_of(other) == ".zip" for other, _ in self._files) > 1
        has_table = any(one.rpartition("/")[2].lower() in TABLES for one in members)
        return start, f"{safe_name(name[:-4])}/" if has_table or (is_flat and others) else ""

    def _is_wanted(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
        """Whether a member may be a picture or a table by its name, or by its first bytes where
        that has no ending; what is not is left out."""
        name = _plain(member)
        if not litter(name) and 0 < member.file_size <= MOST_OF_A_FILE:
            if ending_of(name):
                if _may_belong(name, b""):
                    return True
            else:
                with suppress(*UNREADABLE), archive.open(member) as file:
                    if _may_belong(name, file.read(32)):
                        return True
        self._left_out.append(name)
        return False

    @staticmethod
    def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, to: Path) -> bool:
        """Write a member's content, which is never more than the archive's list says; whether it
        could be read."""
        with to.open("wb") as file:
            some = _pieces(archive, member)
            while True:
                try:
                    piece = next(some, b"")
                except UNREADABLE:
                    return False
                if not piece:
                    return True
                file.write(piece)  # what the disk refuses is another matter

    def _keep(self, name: str, path: Path) -> None:
        """Move a file to its place below the folder of pictures, if it is what it should be."""
        is_table = name.rpartition("/")[2].lower() in TABLES
        is_hidden = is_litter(name.replace("\\", "/").rpartition("/")[2])
        belongs = is_table or (not is_hidden and _is_picture(path, name))
        place = self._place(name) if belongs else None
        if place is None:
            self._left_out.append(name)
            path.unlink()
            return
        (self._into / place).parent.mkdir(parents=True, exist_ok=True)
        path.replace(self._into / place)
        self._pictures += not is_table

    def _place(self, name: str) -> str | None:
        """A path of safe names that nothing has yet; None where a file has that of its folder."""
        *above, last = map(safe_name, filter(None, name.split("/")))
        folders = ["/".join(above[: i + 1]) for i in range(len(above))]
        if self._taken.intersection(map(as_files, folders)):
            return None
        self._folders.update(map(as_files, folders))
        place, number = "/".join((*above, last)), self._numbers.get(as_files(last), 1)
        while as_files(place) in self._taken or as_files(place) in self._folders:
            number += 1
            place = "/".join((*above, numbered(last, number)))
        self._numbers[as_files(last)] = number
        self._taken.add(as_files(place))
        return place

    def _put_in_place(self) -> Path:
        only = self._files[0][0] if len(self._files) == 1 else "pictures"
        name = safe_name(only[:-4] if ending_of(only) == ".zip" else "pictures")
        for number in count(1):
            folder = self._root / (name if number == 1 else f"{name} {number}")
            try:
                if not folder.exists():
                    put_in_place(self._into, folder)
                    return folder
            except OSError:
                if not folder.exists():  # nobody else was faster
                    raise
        raise AssertionError

    def _check_room(self, size: int) -> None:
        if shutil.disk_usage(self._root).free - size < LEFT_FREE:
            raise FileNotWritten(
                f"The disk of {self._root} has no room for this upload: make some, or upload less."
            )


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as content:
        while some := content.read(AT_ONCE):
            yield some


def _plain(member: zipfile.ZipInfo) -> str:
    return member.filename.replace("\\", "/")


def _may_belong(name: str, beginning: bytes) -> bool:
    ending = ending_of(name) or sniffed(beginning)
    return readable(ending) or name.rpartition("/")[2].lower() in TABLES


def _is_picture(path: Path, name: str) -> bool:
    """Whether a decoder takes a file for a picture, and a source would look at it."""
    from PIL import Image

    try:
        with path.open("rb") as file:
            beginning = file.read(32)
        if not _may_belong(name, beginning):
            return False
        with Image.open(path, formats=formats()):
            return True
    except Exception:  # damaged files raise nearly anything
        return False


def _sweep(arriving: Path) -> None:
    """Remove what servers left that were killed meanwhile: folders whose lock is free."""
    for half in arriving.glob(f"*{PART}"):
        path = half.with_suffix(".lock")
        if (lock := try_lock(path)) is not None:
            remove(half)
            lock.release()
            remove(path)
