"""Names that any file system takes, and that differ on any."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 120  # bytes in UTF-8; most systems take 255, and a number may have to follow
# Windows opens a device where a file has such a name, whatever its ending.
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])[ .]*(\..*)?", re.I)


def safe_name(name: str) -> str:
    """``name`` of one file or folder in NFC, without characters that are special on some system,
    and no device's; its ending is kept where it has to be cut."""
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    text = re.sub(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]', "_", text).strip().strip(".").rstrip(" .")
    stem, dot, ending = text.rpartition(".")
    if len(text.encode()) > LONGEST and dot and len(ending) <= 8:
        text = f"{_cut(stem, LONGEST - len(ending.encode()) - 1)}.{ending}"
    text = _cut(text, LONGEST)
    return f"_{text}" if DEVICES.fullmatch(text) else text or "_"


class Distinct:
    """Gives back each name that it is called with, with a number before the suffix of one that
    some file system would take for an earlier one."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        free, number = name, self._numbers.get(as_files(name), 1)
        while as_files(free) in self._taken:
            number += 1
            free = numbered(name, number)
        self._taken.add(as_files(free))
        self._numbers[as_files(name)] = number
        return free


def numbered(name: str, number: int) -> str:
    """``name`` with a number before its suffix."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem} ({number}).{suffix}" if dot and stem else f"{name} ({number})"


def as_files(name: str) -> str:
    """Some file systems treat cat and Cat as equal, and é and e with a combining accent."""
    return unicodedata.normalize("NFC", name).casefold()


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode("utf-8", "ignore").rstrip(" .")
