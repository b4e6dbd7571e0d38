"""Pictures without what cameras and programs wrote into their files: place, time, serial numbers.

Only what is needed to show a picture as it was is kept: its pixels, how it is turned, its colour
profile. Pillow can do that by encoding a picture again, which costs a JPEG some of its quality. So
the files of most formats are taken apart here, and their compressed pixels are copied; formats that
hold addresses, and so have to stay as long as they are, in :mod:`al_core.pictures.blanked`.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator
from zlib import crc32

from al_core.pictures.blanked import blanked_boxes, blanked_codestream, blanked_tiff
from al_core.pictures.decoding import MOST_PIXELS, whole
from al_core.pictures.same_picture import orientation
from al_core.sources.formats import ENDINGS, sniffed

MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in the pixels of a JPEG, what ends them
PNG = b"\x89PNG\r\n\x1a\n"
# What is shown of a PNG: pixels, colours, sizes, and the frames of an animation.
PNG_CHUNKS = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB",
    b"cICP", b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
}  # fmt: skip
WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
WEBP_EXIF, WEBP_XMP = 0x08, 0x04  # the flags of VP8X that say so
GIF_APPLICATIONS = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")  # how often; colours


def without_metadata(content: bytes) -> bytes:
    """The file ``content`` of a picture without anything that is not needed to show it: the same
    file if there is no such thing.

    The pixels are copied as they are compressed. Where a file is not built as its format says, it
    becomes a PNG. What hangs on behind a picture, such as a short film or a second exposure, is
    left out. Raises whatever PIL raises on a damaged picture.
    """
    take_apart = _WAYS.get(ENDINGS.get(sniffed(content[:32]), ""))
    if take_apart is not None:
        try:
            cleaned = take_apart(content)
            if cleaned == content or orientation(cleaned) == orientation(content):
                return cleaned
        except (ValueError, IndexError, struct.error, OverflowError):
            pass  # it is not built like that
    file = io.BytesIO()
    whole(content, MOST_PIXELS, {}).save(file, "PNG")
    return file.getvalue()


def _as_it_is(content: bytes) -> bytes:
    return content


def _turned(content: bytes) -> bytes:
    """EXIF data that only say how a picture is turned; empty for one that is not."""
    turned = orientation(content)
    if turned == 1:
        return b""
    tag = struct.pack(">HHIHH", 0x0112, 3, 1, turned, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + tag + bytes(4)


def _jpeg(content: bytes) -> bytes:
    head, rest = [content[:2]], list[bytes]()
    dropped = False
    for marker, segment in _segments(content):
        if marker == 0xE0 and segment[4:9] == b"JFIF\0" and not rest:
            head.append(segment)
        elif _is_shown(marker, segment):
            rest.append(segment)
        else:
            dropped = True
    exif = _turned(content) if dropped else b""
    if exif:
        exif = b"\xff\xe1" + struct.pack(">H", 8 + len(exif)) + b"Exif\0\0" + exif
    return b"".join([*head, exif, *rest])


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments of a JPEG after its beginning, each with its marker; the pixels that follow one
    belong to it."""
    at = 2
    while True:
        if content[at] != 0xFF:
            raise ValueError("no marker")
        while content[at + 1] == 0xFF:
            at += 1
        marker, end = content[at + 1], at + 2
        if marker != 0xD9:
            end += int.from_bytes(content[end : end + 2])
        if marker == 0xDA:
            ends = MARKER.search(content, end)
            end = ends.start() if ends else len(content)
        if end > len(content):
            raise ValueError("cut off")
        yield marker, content[at:end]
        if marker == 0xD9 or end == len(content):
            return
        at = end


def _is_shown(marker: int, segment: bytes) -> bool:
    """Whether a segment is needed: all but comments and what programs add, of which a colour
    profile and Adobe's note on colours are kept."""
    if marker == 0xE2:
        return segment[4:16] == b"ICC_PROFILE\0"
    return marker == 0xEE or not (0xE0 <= marker <= 0xEF or marker == 0xFE)


def _png(content: bytes) -> bytes:
    kept, at, kind = [PNG], len(PNG), b""
    dropped = False
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", content, at)
        kind, end = content[at + 4 : at + 8], at + 12 + length
        if end > len(content):
            raise ValueError("cut off")
        if kind in PNG_CHUNKS:
            kept.append(content[at:end])
        else:
            dropped = True
        at = end
    if dropped and (exif := _turned(content)):
        chunk = b"eXIf" + exif
        kept.insert(2, struct.pack(">I", len(exif)) + chunk + struct.pack(">I", crc32(chunk)))
    return b"".join(kept)


def _webp(content: bytes) -> bytes:
    end = min(8 + int.from_bytes(content[4:8], "little"), len(content))
    chunks: dict[bytes, list[bytes]] = {}
    kept, at = list[bytes](), 12
    while at < end:
        kind, length = struct.unpack_from("<4sI", content, at)
        chunk = content[at : at + 8 + length + length % 2]
        at += 8 + length + length % 2
        chunks.setdefault(kind, []).append(chunk)
        if kind in WEBP_CHUNKS:
            kept.append(chunk)
    if chunks.keys() <= WEBP_CHUNKS and end == len(content):
        return content
    exif = _turned(content)
    if kept[0][:4] == b"VP8X":
        flags = kept[0][8] & ~WEBP_EXIF & ~WEBP_XMP | (WEBP_EXIF if exif else 0)
        kept[0] = kept[0][:8] + bytes([flags]) + kept[0][9:]
        if exif:
            kept.append(b"EXIF" + struct.pack("<I", len(exif)) + exif + bytes(len(exif) % 2))
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _gif(content: bytes) -> bytes:
    def colours(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    at = 13 + colours(content[10])
    kept = [content[:at]]
    while content[at] != 0x3B:
        begin, kind = at, content[at]
        if kind == 0x2C:  # a frame: where it lies, its colours, how its pixels are written
            at += 11 + colours(content[at + 9])
            needed = True
        elif kind == 0x21:
            application = content[at + 3 : at + 14]
            needed = content[at + 1] == 0xF9 or (
                content[at + 1] == 0xFF and application in GIF_APPLICATIONS
            )
            at += 2
        else:
            raise ValueError("no block")
        while content[at]:
            at += 1 + content[at]
        at += 1
        if needed:
            kept.append(content[begin:at])
    return b"".join([*kept, b";"])


_WAYS: dict[str, Callable[[bytes], bytes]] = {
    "JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif, "TIFF": blanked_tiff,
    "HEIF": blanked_boxes, "AVIF": blanked_boxes, "JPEG2000": blanked_codestream,
    "BMP": _as_it_is, "PPM": _as_it_is,  # nothing of a camera's has a place in these
}  # fmt: skip
