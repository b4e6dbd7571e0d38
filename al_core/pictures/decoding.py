"""Pictures to pixels: uint8 rows of one size, or all of one at its own."""

from __future__ import annotations

import io
import itertools
import math
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from al_core.pictures.digests import DIGEST, FILES, digest_of, digest_of_file
from al_core.pictures.same_picture import JPEG, shows
from al_core.pictures.square import Resize, Square, by_pillow, fitted, scaling
from al_core.pictures.values import (
    COLOURS,
    Range,
    Values,
    colours,
    finite,
    is_deep,
    is_wide,
    kind_of,
    range_of,
    ranges_of,
    shaded,
    with_lower_bytes,
)
from al_core.progress import Progress, Work
from al_core.sources.content import Picture
from al_core.sources.formats import formats

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFile import ImageFile

Row = tuple["NDArray[np.uint8] | Values | None", Any]
"""A picture in its square, None where it cannot be read; and what FILES says of it."""

BATCH = 256  # pictures decoded between two reports, unless they are slow
# Pictures that take longer are decoded in threads. Small ones are mostly Python's work, for which
# threads wait for each other: 32x32 JPEGs took 0.11 ms each in one thread, 0.17 ms each in two.
SLOW_S = 0.001
# PIL's own limit is twice this. A JPEG may have more, since it is decoded at a smaller size.
MOST_PIXELS = 89_478_485
LARGE = 16_000_000  # pixels; larger ones are decoded one at a time, as each takes up to 1.5 GB
LYING = (5, 6, 7, 8)  # how EXIF says that a picture is turned by a quarter
AT_ONCE = 64_000_000  # bytes of a file that is read as a whole
ONE_AT_A_TIME = threading.Lock()
NO_VALUES = np.empty((0, 0), np.float32)  # of a picture whose values lie in a file meanwhile


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What became of N pictures: ``readable`` bool[N], ``digests`` V16[N] of their pixels (of
    zeros where unreadable), ``files`` FILES[N], and ``ranges``, in which those of more than 8 bits
    are shown."""

    readable: NDArray[np.bool_]
    digests: NDArray[np.void]
    files: NDArray[np.void]
    ranges: Mapping[str, Range]


def decode_all(pictures: Iterable[Picture], count: int, size: int, out: BinaryIO) -> Work[Decoded]:
    """Append each of ``count`` pictures to ``out`` as uint8 [3,size,size], in order.

    An unreadable one is written as zeros. With a file instead of a memory map, a full disk is an
    error and not a crash. Those of more than 8 bits are written once all were seen, since all of
    them are shown in one range.
    """
    from PIL import Image

    # Nobody needs the warning: what has too many pixels is listed.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    began = time.monotonic()
    readable = np.zeros(count, dtype=np.bool_)
    digests, files = np.zeros(count, dtype=f"V{DIGEST}"), np.zeros(count, FILES)
    nothing = bytes(3 * size * size)
    done = 0
    wide: list[tuple[int, Values]] = []
    with TemporaryFile() as spool:
        for batch in _decoded(pictures, size):
            for row, files[done] in batch:
                readable[done] = row is not None
                if isinstance(row, Values):
                    spool.write(row.grey.tobytes())
                    wide.append((done, replace(row, grey=NO_VALUES)))
                    row = None
                pixels = nothing if row is None else row.tobytes()
                digests[done] = digest_of(pixels)
                out.write(pixels)
                done += 1
            yield Progress("Decoding", done, count, "images", time.monotonic() - began)
        ranges = ranges_of(one for _, one in wide)
        spool.seek(0)
        for place, one in wide:
            shape = (size, size, 3) if one.kind == COLOURS else (size, size)
            grey = np.frombuffer(spool.read(4 * math.prod(shape)), np.float32).reshape(shape)
            pixels = shaded(replace(one, grey=grey), ranges[one.kind]).tobytes()
            digests[place] = digest_of(pixels)
            out.seek(place * len(nothing))
            out.write(pixels)
        out.seek(0, io.SEEK_END)
    return Decoded(readable, digests, files, ranges)


def _decoded(pictures: Iterable[Picture], size: int) -> Iterator[list[Row]]:
    """Pictures in their square, batch by batch; slow ones in threads, which always have some
    waiting, so that all of them are busy."""
    rest, workers = iter(pictures), os.cpu_count() or 1
    ahead: deque[Future[tuple[Row, float]]] = deque()
    slow = True
    with ThreadPoolExecutor(workers) as threads:
        while batch := list(itertools.islice(rest, 2 * workers if slow else BATCH)):
            if slow:
                ahead.extend(threads.submit(_timed, picture, size) for picture in batch)
                done = [ahead.popleft().result() for _ in range(len(ahead) - 2 * workers)]
            else:
                done = [_timed(picture, size) for picture in batch]
            if done:
                slow = sum(seconds for _, seconds in done) > SLOW_S * len(done)
                if not slow:
                    done += [one.result() for one in ahead]
                    ahead.clear()
                yield [row for row, _ in done]
        if ahead:
            yield [one.result()[0] for one in ahead]


def _timed(picture: Picture, size: int) -> tuple[Row, float]:
    began = time.monotonic()
    return _decode_or_none(picture, size), time.monotonic() - began


def decode(
    picture: Picture, square: Square, ranges: Mapping[str, Range] = MappingProxyType({})
) -> NDArray[np.uint8]:
    """Decode all of a picture to RGB in its ``square``, uint8 [3,S,S].

    A picture already of that size keeps its pixels. Transparency becomes white. More than 8 bits
    are shown in one of ``ranges``, or their own (:mod:`al_core.pictures.values`). Raises what
    :func:`whole` does.
    """
    row = _row(_upright(picture, square.size)[0], square, scaling()[1])
    if not isinstance(row, Values):
        return row
    return shaded(row, ranges.get(row.kind) or range_of(row.kind, row.low, row.high))


def whole(picture: Picture, side: int, ranges: Mapping[str, Range]) -> PILImage:
    """All of a picture, RGB or, where it is transparent, RGBA, upright: EXIF rotation is applied,
    and an animation's first frame is taken. More than 8 bits are shown in one of ``ranges``, or
    their own.

    A JPEG is decoded at 1/2, 1/4 or 1/8 where that leaves twice ``side`` in pixels. Raises whatever
    PIL raises on a damaged picture, and on one with more pixels than any camera's: a few hundred kB
    may claim to be many GB.
    """
    from PIL import Image

    found, _ = _upright(picture, side)
    if not isinstance(found, Values):
        return found
    shown = ranges.get(found.kind) or range_of(found.kind, found.low, found.high)
    return Image.fromarray(np.ascontiguousarray(shaded(found, shown).transpose(1, 2, 0)))


def _upright(picture: Picture, side: int) -> tuple[PILImage | Values, tuple[int, int]]:
    """The same, before values of more than 8 bits are shaded; and its width and height."""
    from PIL import Image, ImageOps

    if picture is None:
        raise ValueError("no picture")
    if isinstance(picture, np.ndarray):
        image = Image.fromarray(picture)
        return image, image.size
    opened = _opened(picture)
    deep = is_deep(opened)
    full = opened.size
    is_large = opened.width * opened.height > LARGE
    with opened, ONE_AT_A_TIME if is_large else nullcontext():
        opened.draft(None, (2 * side, 2 * side))
        if opened.width * opened.height > MOST_PIXELS:
            raise ValueError("too many pixels")
        opened.load()  # a damaged picture raises here, outside of the suppression below
        lying = opened.size
        with suppress(Exception):  # damaged EXIF data does not make a damaged picture
            ImageOps.exif_transpose(opened, in_place=True)  # otherwise it copies, turned or not
        full = full if opened.size == lying else full[::-1]
        if deep:
            with with_lower_bytes(_opened(picture)) as lower:
                lower.load()
                with suppress(Exception):
                    ImageOps.exif_transpose(lower, in_place=True)
                return Values(COLOURS, *colours(opened, lower)), full
        if is_wide(opened):
            return Values(kind_of(opened), *finite(opened)), full
        return opened.convert("RGBA" if opened.has_transparency_data else "RGB"), full


def _opened(picture: bytes | Path) -> ImageFile:
    from PIL import Image

    file = io.BytesIO(picture) if isinstance(picture, bytes) else picture
    return Image.open(file, formats=formats())


def _row(
    picture: PILImage | Values, square: Square, resize: Resize = by_pillow
) -> NDArray[np.uint8] | Values:
    """A picture in its square: pixels uint8 [3,S,S], or values [S,S] or with [3]."""
    from PIL import Image

    if isinstance(picture, Values):
        each, size = np.atleast_3d(picture.grey), square.size
        bands = [fitted(Image.fromarray(each[..., i]), square) for i in range(each.shape[2])]
        grey = np.stack([np.asarray(band, dtype=np.float32) for band in bands], axis=-1)
        return replace(picture, grey=grey.reshape(size, size, *picture.grey.shape[2:]))
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return np.asarray(fitted(picture, square, resize), dtype=np.uint8).transpose(2, 0, 1)


def _decode_or_none(picture: Picture, size: int) -> Row:
    """A picture in its square, if it can be read, and its row of FILES."""
    try:
        if isinstance(picture, Path) and picture.stat().st_size <= AT_ONCE:
            picture = picture.read_bytes()  # once for all that is to be known of it
        found, full = _upright(picture, size)
        return _row(found, Square(size)), _about(picture, found, full)
    except Exception:  # damaged files raise nearly anything: OSError, ValueError, struct.error...
        return None, (bytes(DIGEST), 0, 0, bytes(DIGEST))


def _about(picture: Picture, found: PILImage | Values, full: tuple[int, int]) -> Any:
    """The row of FILES of a picture."""
    if isinstance(picture, Path):  # large files are not read as a whole
        with picture.open("rb") as file:
            encoded = file.read(2)
            encoded += file.read() if encoded == JPEG else b""
        return digest_of_file(picture), *full, shows(found, full, encoded)
    encoded = picture.tobytes() if isinstance(picture, np.ndarray) else picture or b""
    return digest_of(encoded), *full, shows(found, full, encoded)


def described(picture: Picture) -> tuple[bytes, int, int, bytes]:
    """The row of FILES of a picture that is not decoded, so that what it shows is not known; with a
    size of 1 where it cannot be read."""
    from PIL import ExifTags

    digest, width, height = bytes(DIGEST), 1, 1
    with suppress(Exception):  # damaged files raise nearly anything
        assert isinstance(picture, bytes | Path)
        digest = digest_of(picture) if isinstance(picture, bytes) else digest_of_file(picture)
        with _opened(picture) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in LYING
            width, height = image.size[::-1] if turned else image.size
    return digest, width, height, bytes(DIGEST)
