"""The pictures of a source as it holds them, by the digest of each: whole, at their own size."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.pictures.decoding import described
from al_core.pictures.digests import digest_of
from al_core.pictures.values import Range
from al_core.progress import Work, finish
from al_core.sources.content import Content, Picture


class Pictures:
    """N pictures with the ``keys`` of a source and the ``digests`` V16 [N] of their files' bytes.

    ``read`` reads the source, and is called when the first picture is asked for; None where it
    holds no files of them, and the pictures are ``images``, uint8 [N,3,S,S]. ``ranges``: in which
    more than 8 bits are shown. Safe to share between threads.
    """

    def __init__(
        self,
        read: Callable[[], Work[Content]] | None,
        keys: Sequence[str],
        digests: NDArray[np.void],
        images: NDArray[np.uint8],
        ranges: Mapping[str, Range],
    ) -> None:
        self.ranges = ranges
        self._read, self._keys, self._digests, self._images = read, keys, digests, images
        self._rows: dict[bytes, int] = {}
        self._at: Callable[[str], Picture] | None = None
        self._lock = threading.Lock()

    @property
    def has_files(self) -> bool:
        """Whether they are read from files or tables, which may change."""
        return self._read is not None

    def identify(self, files: NDArray[np.void], rows: Iterable[int]) -> None:
        """Write what is known of these pictures before they are decoded to ``files`` FILES [N], of
        which ``digests`` is a part; those that were looked at before stay as they are."""
        new = [row for row in rows if not files[row]["width"]]
        with ThreadPoolExecutor() as threads:
            found = threads.map(lambda row: described(self._find(self._keys[row])), new)
            for row, one in zip(new, found, strict=True):
                with self._lock:
                    files[row] = one
                    self._rows[one[0]] = row

    def find(self, digest: bytes) -> Picture:
        """The picture whose file had these bytes, or its pixels [H,W,3]; None where the source has
        none any more, or other bytes in its place. Raises SourceError where it cannot be read."""
        row = self._row(digest)
        if row is None:
            return None
        if self._read is None:
            pixels: Picture = self._images[row].transpose(1, 2, 0)
            return pixels
        picture = self._find(self._keys[row])
        if isinstance(picture, Path):
            try:
                picture = picture.read_bytes()
            except OSError:
                return None
        is_same = isinstance(picture, bytes) and digest_of(picture) == digest
        return picture if is_same else None

    def called(self, key: str) -> Picture:
        """What is there under a name by now; None for nothing. Raises SourceError and OSError where
        it cannot be read."""
        with suppress(KeyError, FileNotFoundError, NotADirectoryError):
            picture = None if self._read is None else self._find(key)
            return picture.read_bytes() if isinstance(picture, Path) else picture
        return None

    def _row(self, digest: bytes) -> int | None:
        with self._lock:
            if not self._rows:
                self._rows = {one.tobytes(): row for row, one in enumerate(self._digests)}
            return self._rows.get(digest)

    def _find(self, key: str) -> Picture:
        with self._lock:
            if self._at is None:
                assert self._read is not None
                self._at = finish(self._read()).at
            assert self._at is not None
        return self._at(key)
