"""Whether two files show the same picture, though their bytes differ: by a digest of all it shows.

Programs write ratings, captions and times into files of pictures. That changes their bytes, and not
what a person sees.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from al_core.pictures.digests import digest_of
from al_core.pictures.values import Values
from al_core.sources.formats import formats

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

JPEG = b"\xff\xd8"  # how such a file begins
LAST = b"\xff\xd9"  # the marker at the end
ORIENTATION = 0x0112  # in EXIF data


def shows(found: PILImage | Values, full: tuple[int, int], encoded: bytes) -> bytes:
    """The digest of what a picture shows: decoded as ``found``, of ``full`` width and height, from
    a file with the bytes ``encoded``.

    A JPEG is decoded at a smaller scale, so that it is told by its compressed pixels, without what
    is written beside them; any other by its pixels.
    """
    if isinstance(found, Values):
        kind, pixels = found.kind, found.grey.tobytes()
    elif compressed := _compressed(encoded):
        kind, pixels = f"JPEG {orientation(encoded)}", compressed
    else:
        kind, pixels = found.mode, np.asarray(found).tobytes()
    return digest_of(repr((kind, full)).encode() + pixels)


def _compressed(encoded: bytes) -> bytes:
    """A JPEG without comments and the data of programs, but for Adobe's, which says what its
    colours are; empty for another file, and a damaged one."""
    if encoded[:2] != JPEG:
        return b""
    at = 2
    kept: list[bytes] = []
    while at + 4 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        end = at + 2 + int.from_bytes(encoded[at + 2 : at + 4])
        if marker == 0xDA:  # from here on, pixels
            end = encoded.find(LAST, at)  # what some programs write behind it is no pixel
            return b"".join(kept) + encoded[at : end if end >= 0 else None]
        is_beside = 0xE0 <= marker <= 0xEF and marker != 0xEE
        if not is_beside and marker != 0xFE:
            kept.append(encoded[at:end])
        at = end
    return b""


def orientation(encoded: bytes) -> int:
    """How EXIF data turns a picture, a number from 1 to 8; 1 where it does not."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=formats()) as opened:
            return int(opened.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF data does not make a damaged picture
        return 1
