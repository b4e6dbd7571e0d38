"""What lies in a folder: pictures by their endings or first bytes, and what is left out of it."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from al_core.files.paths import home
from al_core.progress import Progress, Work
from al_core.sources.formats import ENDINGS, OTHERS, readable, sniffed

TABLES = ("metadata.csv", "metadata.jsonl")  # of labels, as Hugging Face calls them
ROWS = (".parquet", ".arrow")  # files that hold images as rows
# Folders and files that systems and network disks make for themselves, in lower case.
LITTER = {
    "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "_thumbs", "#recycle",
    "#snapshot", "$recycle.bin", "recycler", "system volume information", "__macosx", "lost+found",
    "lost.dir", "thumbs.db", "ehthumbs.db", "desktop.ini",
}  # fmt: skip
REPORTED = 1000  # files listed between two reports
LITTER_BEGINS = (".", "synophoto_thumb", "synofile_thumb")  # a dot hides it
LITTER_ENDS = ".lrdata"  # Lightroom's folders of previews
OF_UPLOAD = ".left-out.json"  # in the folder of an upload: our own


@dataclass(slots=True)
class Listing:
    """Names relative to a source, joined by "/".

    ``pictures`` can be read; ``tables`` are those of labels and ``rows`` hold images. ``folders``
    have no file of another kind in them or below, but perhaps pictures. ``left_out``: litter that
    holds pictures, links that lead out of the source, pictures that nothing installed can read;
    folders end in "/". ``unread`` counts the last by their endings, and ``others`` all other files;
    those of litter as ``@eaDir/*.jpg``.
    """

    pictures: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    links_out: list[str] = field(default_factory=list)  # those of left_out that are links
    unread: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    _foreign: set[str] = field(default_factory=set)  # folders that hold those

    def take(self, name: str, beginning: bytes = b"") -> None:
        """Count in a file that is no litter; ``beginning`` are its first bytes where its name has
        no ending."""
        ending = sniffed(beginning) or ending_of(name)
        if readable(ending):
            self.pictures.append(name)
        elif ending in ENDINGS or ending in OTHERS:
            self.left_out.append(name)
            self.unread[ending] += 1
        elif name.rpartition("/")[2].lower() in TABLES:
            self.tables.append(name)
        elif ending in ROWS:
            self.rows.append(name)
        else:
            self.others[ending] += 1
            while name:
                name = name.rpartition("/")[0]
                self._foreign.add(name)

    def set_aside(self, name: str, top: str) -> None:
        """Count in a file that is litter, or lies in a folder that is: ``top``, with "/" at its
        end."""
        ending = ending_of(name)
        is_picture = ending in (*ENDINGS, *OTHERS, *ROWS)
        if top.endswith("/"):
            self.others[f"{top[:-1].rpartition('/')[2]}/*{ending}"] += 1
        elif not is_picture:
            self.others[ending] += 1
        if is_picture and self.left_out[-1:] != [top]:  # all of a folder come one after another
            self.left_out.append(top)

    def settle(self) -> Listing:
        """Bring all into their natural order, and leave only the folders that are told of."""
        holding = {above for name in self.pictures for above in _above(name)}
        self.folders = [f for f in self.folders if f in holding or f not in self._foreign]
        for names in (self.pictures, self.tables, self.rows, self.folders, self.left_out):
            names.sort(key=natural)
        return self


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts img2 before img10."""
    pieces = re.split(r"([0-9]+)", name.casefold())
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)], name


def printable(name: str) -> str:
    """``name`` as text that can be stored and shown, even where its bytes are not UTF-8."""
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    return name if shown == name else shown  # one string, as a rule, for each of a million files


def composed(name: str) -> str:
    """One spelling (NFC) for all ways to write the same characters: an é is one code point, or an e
    with an accent, as a file gets on its way through a Mac."""
    return unicodedata.normalize("NFC", name)


def keys_of(names: Sequence[str]) -> list[str]:
    """What images are called: their files' names, printable and composed. Two files whose names
    differ in that alone, which Linux allows, keep the difference."""
    shown = list(map(printable, names))
    count = Counter(map(composed, shown))
    return [composed(one) if count[composed(one)] == 1 else one for one in shown]


def ending_of(name: str) -> str:
    """What a name ends in, in lower case, from the dot on; empty for one like ``IMG_2024.01``."""
    ending = os.path.splitext(name)[1].lower()
    return ending if re.fullmatch(r"\.[a-z]\w*", ending) else ""


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name (without those above) is hidden, or one that a system
    makes for itself: it is left out, and told of."""
    lower = name.lower()
    return lower in LITTER or lower.startswith(LITTER_BEGINS) or lower.endswith(LITTER_ENDS)


def walk(root: Path) -> Work[Listing]:
    """List all files below ``root``, which takes a slow disk minutes. Links that lead out of it are
    not followed: a folder means what is in it, and a downloaded data set has no business with other
    files of this machine."""
    found, seen, began, own = Listing(), 0, time.monotonic(), os.path.realpath(home())
    above: tuple[str, ...] = (str(root),)
    folders = [("", above, False)]  # with the folders above it, and whether a link led there
    while folders:
        prefix, above, by_link = folders.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                seen += 1
                if seen % REPORTED == 0:
                    yield Progress("Listing", seen, 0, "files", time.monotonic() - began)
                name, is_link = f"{prefix}{entry.name}", entry.is_symlink()
                # os.path treats a link to itself as nothing; the entry itself needs no system call.
                is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()
                shown = f"{name}/" if is_folder else name
                if is_litter(entry.name):
                    if entry.name == OF_UPLOAD or (is_folder and entry.path == own):
                        continue  # made by this program
                    for file in _files_in(entry.path) if is_folder and not is_link else [""]:
                        found.set_aside(f"{shown}{file}", shown)
                        seen += 1
                        if seen % REPORTED == 0:
                            yield Progress("Listing", seen, 0, "files", time.monotonic() - began)
                elif is_link and not Path(os.path.realpath(entry.path)).is_relative_to(root):
                    if is_folder or ending_of(name) in (*ENDINGS, *ROWS):
                        found.left_out.append(shown)
                        found.links_out.append(shown)
                elif is_folder:
                    real = os.path.realpath(entry.path)
                    # Skip folders above this one, and links behind links, which would never end
                    # where each of many folders links to all.
                    if real not in above and not (is_link and by_link):
                        folders.append((f"{name}/", (*above, real), is_link or by_link))
                        found.folders.append(name)
                elif os.path.isfile(entry.path):  # a pipe would block forever
                    found.take(name, b"" if ending_of(name) else _beginning(entry.path))
                elif not os.path.exists(entry.path) and ending_of(name) in (*ENDINGS, *ROWS):
                    found.take(name)  # a dangling link is one that cannot be read
    return found.settle()


def _files_in(folder: str) -> Iterator[str]:
    """The names of all files below ``folder``; of what cannot be listed, none."""
    for _, _, names in os.walk(folder):
        yield from names


def _beginning(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(32)
    except OSError:
        return b""


def _above(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name
