"""Files of pictures in which addresses stand: what cameras and programs wrote becomes zeros in its
place, so that everything else stays where it is."""

from __future__ import annotations

import struct
from collections.abc import Iterator

# What is needed to show a TIFF, by the numbers of its tags: sizes, how pixels are compressed and
# laid out, colours, how it is turned. Where it was taken (GeoTIFF) is none of it.
SHOWN_TAGS = {
    *range(254, 260), 262, 263, 264, 265, 266, *range(273, 285), 288, 289, 290, 291, 292, 293, 296,
    297, 301, 317, 318, 319, 320, 321, *range(322, 326), 330, 332, 334, 336, 338, 339, 340, 341,
    347, 512, 513, 514, 529, 530, 531, 532, 34675,
}  # fmt: skip
SUB_IMAGES = 330
PIXELS = ((273, 279), (324, 325), (513, 514))  # where they lie, and how many bytes
OLD_JPEG = 6  # a compression whose tables have no length
# Bytes of a value, by the number of its type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
         17: 8, 18: 8}  # fmt: skip
NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

SHOWN_BOXES = {b"ftyp", b"meta", b"mdat", b"moov", b"jP  ", b"jp2h", b"jp2c"}
OF_FILMS = {b"trak", b"mdia"}  # boxes that hold others, of a sequence of pictures
TIMED = {b"mvhd", b"tkhd", b"mdhd"}  # they begin with two times
SAID = {b"udta", b"meta", b"uuid"}
WRITTEN = {b"Exif", b"mime", b"uri "}  # items: EXIF, XMP
NO_EXIF = bytes(4) + b"MM\0*" + struct.pack(">IHI", 8, 0, 0)
COMMENT, FIRST_TILE = b"\xff\x64", b"\xff\x90"  # markers of JPEG 2000


def blanked_tiff(content: bytes) -> bytes:
    """A TIFF of which only the pixels and the tags of SHOWN_TAGS are left. Raises ValueError and
    struct.error where it is not built as it should be."""
    out = bytearray(len(content))
    order = "<" if content[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    head, count, address, field = (16, "Q", "Q", 8) if big else (8, "H", "I", 4)
    entry = 4 + 2 * field

    def copy(at: int, size: int) -> None:
        if at + size > len(content):
            raise ValueError("cut off")
        out[at : at + size] = content[at : at + size]

    def numbers(kind: int, n: int, at: int) -> list[int]:
        return [*struct.unpack_from(f"{order}{n}{NUMBERS[kind]}", content, at)]

    copy(0, head)
    to_read = numbers(16 if big else 4, 1, head - field)
    directories: dict[int, list[bytes]] = {}
    while to_read:
        if (at := to_read.pop()) == 0 or at in directories:
            continue
        (n,) = struct.unpack_from(f"{order}{count}", content, at)
        first = at + struct.calcsize(count)
        kept = directories[at] = []
        values: dict[int, list[int]] = {}
        for start in range(first, first + n * entry, entry):
            tag, kind = struct.unpack_from(f"{order}HH", content, start)
            (length,) = struct.unpack_from(f"{order}{address}", content, start + 4)
            if tag not in SHOWN_TAGS or kind not in SIZES:
                continue
            size, place = SIZES[kind] * length, start + 4 + field
            kept.append(content[start : start + entry])
            if size > field:
                (place,) = struct.unpack_from(f"{order}{address}", content, place)
                copy(place, size)
            if kind in NUMBERS:
                values[tag] = numbers(kind, length, place)
        if values.get(259) == [OLD_JPEG]:
            raise ValueError("its tables have no length")
        for where, how_many in PIXELS:
            for begin, size in zip(values.get(where, ()), values.get(how_many, ()), strict=True):
                copy(begin, size)
        kept.append(content[first + n * entry : first + n * entry + field])
        to_read += [*values.get(SUB_IMAGES, ()), *numbers(16 if big else 4, 1, first + n * entry)]
    for at, kept in directories.items():
        table = struct.pack(f"{order}{count}", len(kept) - 1) + b"".join(kept)
        out[at : at + len(table)] = table
    return bytes(out)


def blanked_codestream(content: bytes) -> bytes:
    """A picture of JPEG 2000, alone or in its boxes, without comments and other boxes."""
    if content[:2] == b"\xff\x4f":
        out, begins = bytearray(content), [0]
    else:
        out = bytearray(blanked_boxes(content))
        begins = [body for kind, _, body, _ in _boxes(content, 0, len(content)) if kind == b"jp2c"]
    for at in begins:
        at += 2
        while (marker := content[at : at + 2]) != FIRST_TILE:
            length = int.from_bytes(content[at + 2 : at + 4])
            if length < 2:
                raise ValueError("no segment")
            if marker == COMMENT:
                out[at + 6 : at + 2 + length] = bytes(length - 4)
            at += 2 + length
    return bytes(out)


def blanked_boxes(content: bytes) -> bytes:
    """A HEIC, an AVIF or a JPEG 2000 without the boxes and the items that are not shown. Raises
    ValueError and struct.error where it is not built as it should be."""
    out = bytearray(content)
    for kind, start, body, end in _boxes(content, 0, len(content)):
        if kind not in SHOWN_BOXES:
            _blank(out, start, body, end)
        elif kind == b"moov":
            _blank_film(out, body, end)
        elif kind == b"meta":
            for begin, stop, is_exif in _written(content, body + 4, end):
                empty = NO_EXIF if is_exif and stop - begin >= len(NO_EXIF) else b""
                out[begin:stop] = empty + bytes(stop - begin - len(empty))
    return bytes(out)


def _boxes(content: bytes | bytearray, at: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """The boxes from ``at`` to ``end``: the kind of each, and where it, its body, and what follows
    begin."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", content, at)
        body = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, body)
            body += 8
        stop = at + size if size else end
        if not body <= stop <= end:
            raise ValueError("no box")
        yield kind, at, body, stop
        at = stop


def _blank(out: bytearray, start: int, body: int, end: int) -> None:
    out[start + 4 : start + 8] = b"free"
    out[body:end] = bytes(end - body)


def _blank_film(out: bytearray, at: int, end: int) -> None:
    for kind, start, body, stop in list(_boxes(out, at, end)):
        if kind in SAID:
            _blank(out, start, body, stop)
        elif kind in TIMED:
            size = 16 if out[body] else 8
            out[body + 4 : body + 4 + size] = bytes(size)
        elif kind in OF_FILMS:
            _blank_film(out, body, stop)


def _written(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Where the items of a ``meta`` box lie that cameras and programs wrote, and which are EXIF."""
    boxes = {kind: (body, stop) for kind, _, body, stop in _boxes(content, at, end)}
    if b"iinf" not in boxes or b"iloc" not in boxes:
        return
    body, stop = boxes[b"iinf"]
    kinds = {}
    for kind, _, item, _ in _boxes(content, body + (8 if content[body] else 6), stop):
        if kind == b"infe" and content[item] >= 2:
            form = ">I2x4s" if content[item] == 3 else ">H2x4s"
            number, what = struct.unpack_from(form, content, item + 4)
            kinds[number] = what
    for number, begin, size in _places(content, boxes[b"iloc"][0], boxes.get(b"idat", (0, 0))[0]):
        if kinds.get(number) in WRITTEN:
            if begin + size > len(content):
                raise ValueError("cut off")
            yield begin, begin + size, kinds[number] == b"Exif"


def _places(content: bytes, at: int, data: int) -> Iterator[tuple[int, int, int]]:
    """The pieces of each item by a box ``iloc`` whose body is at ``at``: the number of the item,
    where a piece begins, its bytes. The body of the box ``idat`` is at ``data``."""

    def read(size: int) -> int:
        nonlocal at
        at += size
        if at > len(content):
            raise ValueError("cut off")
        return int.from_bytes(content[at - size : at])

    version, _ = read(1), read(3)
    sizes = read(2)
    of_offset, of_length, of_base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    of_index = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    for _ in range(read(wide)):
        number = read(wide)
        method = read(2) & 15 if version else 0
        _ = read(2)  # in which file
        base = read(of_base) + (data if method == 1 else 0)
        for _ in range(read(2)):
            read(of_index)
            begin = base + read(of_offset)
            yield number, begin, read(of_length)
