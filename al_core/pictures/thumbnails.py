"""Pictures for people: whole, in their own shape, as small files that a browser shows."""

from __future__ import annotations

import io
import math
import os
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from al_core.errors import FileNotWritten
from al_core.files.atomic import note_use, whole_file
from al_core.pictures.decoding import whole
from al_core.pictures.pictures import Pictures
from al_core.pictures.values import Range, is_deep, is_wide
from al_core.progress import Progress, Work
from al_core.sources.content import Picture

SIDE = 320  # pixels, the longer one
LARGEST = 4096  # pixels of the longer side, of an original that no browser shows
CRISP = 64  # pixels of the longer side; up to here each is kept as it is
ROOM_AT_ONCE = 1000  # files looked at between two reports
NO_RANGES: Mapping[str, Range] = {}
SHOWN = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}


def thumbnail(picture: Picture, side: int = SIDE, ranges: Mapping[str, Range] = NO_RANGES) -> bytes:
    """A picture as WebP whose longer side has at most ``side`` pixels; a smaller one stays as it
    is, to the pixel up to CRISP. Transparency is kept. Raises what decoding raises."""
    image = whole(picture, side, ranges)
    if max(image.size) > side:
        image.thumbnail((side, side), reducing_gap=3)
    file = io.BytesIO()
    if max(image.size) <= CRISP:
        image.save(file, "WEBP", lossless=True, method=0, quality=0)  # a third of the time
    else:
        image.save(file, "WEBP", quality=85, method=2)
    return file.getvalue()


class Thumbnails:
    """Those that were drawn, in files of a ``folder`` that may be emptied at any time. They have at
    most ``most`` bytes, if :meth:`make_room` is run whenever it :attr:`is_due`. Safe to share
    between threads, and between servers."""

    def __init__(self, folder: Path, most: float) -> None:
        self._folder, self._most = folder, most
        self._drawn = math.inf  # bytes since room was made; whoever was here before drew as well

    def of(self, pictures: Callable[[], Pictures], digest: bytes) -> bytes | None:
        """That of the picture with this ``digest``, from its file, or drawn and kept there if the
        disk allows; None where there is no such picture. ``pictures`` are asked for if need be."""
        path = self._path(digest)
        with suppress(OSError):
            found = path.read_bytes()
            note_use(path)
            return found
        source = pictures()
        if (picture := source.find(digest)) is None:
            return None
        drawn = thumbnail(picture, SIDE, source.ranges)
        if not isinstance(picture, np.ndarray):  # pixels are drawn faster than a file is found
            with suppress(FileNotWritten), whole_file(path) as file:
                file.write(drawn)
            self._drawn += len(drawn)
        return drawn

    def has(self, digest: bytes) -> bool:
        """Whether that of a picture is kept, which need not be there any more."""
        return self._path(digest).exists()

    def _path(self, digest: bytes) -> Path:
        return self._folder / digest.hex()[:2] / f"{digest.hex()}-{SIDE}.webp"

    @property
    def is_due(self) -> bool:
        """Whether a twentieth of what may be kept was drawn since room was made."""
        return self._drawn > self._most / 20 and math.isfinite(self._most)

    def make_room(self) -> Work[int]:
        """Where the folder holds more than it may, remove the files that were not used for longest,
        down to nine tenths; return how many."""
        self._drawn = 0
        used, sizes = array("d"), array("d")
        began = time.monotonic()
        for done, _, stat in _each(self._folder):
            used.append(stat.st_mtime)
            sizes.append(stat.st_size)
            if done % ROOM_AT_ONCE == 0:
                yield Progress("Looking", done, 0, "files", time.monotonic() - began)
        newest = np.argsort(-np.asarray(used), kind="stable")
        kept = np.cumsum(np.asarray(sizes)[newest])
        if not len(kept) or kept[-1] <= self._most:
            return 0
        until = used[newest[np.searchsorted(kept, 0.9 * self._most, "right")]]
        removed = 0
        for done, path, stat in _each(self._folder):
            if stat.st_mtime <= until:  # nobody has used it meanwhile
                with suppress(OSError):
                    path.unlink()
                    removed += 1
            if done % ROOM_AT_ONCE == 0:
                yield Progress("Removing", done, len(kept), "files", time.monotonic() - began)
        return removed


def _each(folder: Path) -> Iterator[tuple[int, Path, os.stat_result]]:
    """Each file below the folders in ``folder``, with its number."""
    number = 0
    for below in folder.glob("*/"):
        with suppress(OSError), os.scandir(below) as entries:
            for entry in entries:
                with suppress(OSError):  # another server has removed it
                    number += 1
                    yield number, Path(entry.path), entry.stat()


def original(pictures: Pictures, digest: bytes) -> tuple[bytes, str] | None:
    """A picture as its file holds it, where a browser shows such files, and its media type; else
    as WebP with a longer side of at most LARGEST pixels."""
    from PIL import Image

    picture = pictures.find(digest)
    if isinstance(picture, bytes):
        with suppress(Exception), Image.open(io.BytesIO(picture), formats=tuple(SHOWN)) as opened:
            if not is_wide(opened) and not is_deep(opened):
                return picture, SHOWN[str(opened.format)]
    if picture is None:
        return None
    return thumbnail(picture, LARGEST, pictures.ranges), "image/webp"
