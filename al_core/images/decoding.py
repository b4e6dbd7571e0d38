"""Pictures as a source holds them, and their decoding into uint8 rows of one size."""

from __future__ import annotations

import io
import itertools
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from al_core.progress import Progress, Work

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Picture = bytes | Path | NDArray[np.uint8] | None
"""An encoded image, a file of one, pixels [H,W,3], or None: there is nothing to decode."""

FileStamp = tuple[str, int, int]
"""Name relative to the source, size in bytes, modification time in ns."""

BATCH = 256  # pictures decoded between two reports, unless they are slow
# Pictures that take longer are decoded in threads. Small ones are mostly Python's work, for which
# threads wait for each other: 32x32 JPEGs took 0.11 ms each in one thread, 0.17 ms each in two.
SLOW_S = 0.001
# PIL's own limit is twice this. A JPEG may have more, since it is decoded at a smaller size.
MOST_PIXELS = 89_478_485
LARGE = 16_000_000  # pixels; larger ones are decoded one at a time, as each takes up to 1.5 GB
ONE_AT_A_TIME = threading.Lock()
GREYS = 1 << 20  # values converted at once
# The formats whose extensions are recognised, and no others: PIL would hand an EPS file named
# .jpg to Ghostscript.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The N pictures of a source in a fixed order, before any is decoded.

    ``targets`` int64[N], -1: unknown. ``in_test`` bool[N]: the source's own test split, all False
    where it has none. ``pictures`` yields N pictures, once, each read when asked for. ``left_out``
    names what was seen but is not among the N.
    """

    keys: Sequence[str]
    targets: NDArray[np.int64]
    in_test: NDArray[np.bool_]
    class_names: tuple[str, ...]
    pictures: Iterable[Picture]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A source that was listed but not read: enough to know whether its cache is valid.

    ``read(image_size, cache_dir)`` reports its progress and returns the content.
    """

    kind: str
    where: str  # absolute path; empty for a bundled source
    stamps: tuple[FileStamp, ...]
    read: Callable[[int, Path], Work[Content]]


def decode_all(
    pictures: Iterable[Picture], count: int, size: int, out: BinaryIO
) -> Work[NDArray[np.bool_]]:
    """Append each of ``count`` pictures to ``out`` as uint8 [3,size,size], in order.

    Returns bool[count]: which are readable. An unreadable one is written as zeros. With a file
    instead of a memory map, a full disk is an error and not a crash.
    """
    from PIL import Image

    # Nobody needs the warning: what has too many pixels is listed.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    began = time.monotonic()
    readable = np.zeros(count, dtype=np.bool_)
    nothing = bytes(3 * size * size)
    done = 0
    rest = iter(pictures)
    workers = os.cpu_count() or 1
    slow = True
    with ThreadPoolExecutor(workers) as threads:
        while batch := list(itertools.islice(rest, 2 * workers if slow else BATCH)):
            batch_began = time.monotonic()
            spread = threads.map if slow else map
            for row in spread(partial(_decode_or_none, size=size), batch):
                readable[done] = row is not None
                out.write(nothing if row is None else row.tobytes())
                done += 1
            now = time.monotonic()
            # In threads, ``workers`` pictures are decoded at once, each as slowly as before.
            slow = (now - batch_began) * (workers if slow else 1) > SLOW_S * len(batch)
            yield Progress("Decoding", done, count, "images", now - began)
    return readable


def decode(picture: Picture, size: int) -> NDArray[np.uint8]:
    """Decode a picture to RGB, uint8 [3,size,size].

    The shorter side is scaled to ``size`` and the centre cropped, as usual for classification; a
    picture already of that size keeps its pixels. EXIF rotation is applied, transparency becomes
    white, 16 bits are scaled to 8, and an animation's first frame is taken. Raises whatever PIL
    raises on a damaged picture, and on one with more pixels than any camera's: a few hundred kB
    may claim to be many GB.
    """
    from PIL import Image, ImageOps

    if picture is None:
        raise ValueError("no picture")
    if isinstance(picture, np.ndarray):
        image = _fitted(Image.fromarray(picture), size)
    else:
        opened = Image.open(
            io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS
        )
        is_large = opened.width * opened.height > LARGE
        with opened, ONE_AT_A_TIME if is_large else nullcontext():
            # A JPEG is decoded at 1/2, 1/4 or 1/8 if that leaves twice the size to scale from.
            opened.draft(None, (2 * size, 2 * size))
            if opened.width * opened.height > MOST_PIXELS:
                raise ValueError("too many pixels")
            opened.load()  # a damaged picture raises here, outside of the suppression below
            with suppress(Exception):  # damaged EXIF data does not make a damaged picture
                ImageOps.exif_transpose(opened, in_place=True)  # otherwise it copies, turned or not
            image = _fitted(_rgb(opened), size)
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def _decode_or_none(picture: Picture, size: int) -> NDArray[np.uint8] | None:
    try:
        return decode(picture, size)
    except Exception:  # damaged files raise nearly anything: OSError, ValueError, struct.error...
        return None


def _fitted(image: PILImage, size: int) -> PILImage:
    from PIL import Image, ImageOps

    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def _rgb(image: PILImage) -> PILImage:
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        flat = values.reshape(-1)
        # Integers of this mode hold 16 bits. So do floats, unless none exceeds 1.
        small = image.mode == "F" and np.fmax.reduce(flat, initial=0) <= 1
        white = 1.0 if small else 65535.0
        grey = np.empty(values.size, dtype=np.uint8)
        for start in range(0, grey.size, GREYS):
            chunk = np.nan_to_num(flat[start : start + GREYS].astype(np.float64))
            grey[start : start + GREYS] = np.rint(chunk.clip(0, white) * (255 / white))
        return Image.fromarray(grey.reshape(values.shape)).convert("RGB")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
