"""Exports leave behind what cameras and programs wrote into pictures, and show the same pixels."""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow.parquet as pq
import pytest
from folder_desk import Desk
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin, features
from PIL.PngImagePlugin import PngInfo
from test_values import png as png_of_16_bits
from tiny import encoded

from al_core.exchange.images import export_folders, export_parquet
from al_core.pictures.decoding import whole
from al_core.pictures.metadata import without_metadata
from al_core.progress import finish
from al_core.sources.formats import formats

SECRET = b"S3CRET-SERIAL-0042"
PLACE = struct.pack(">II", 48_137, 1000)  # a coordinate, as a fraction
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Title, maker, model, program, time, artist, XMP, GeoTIFF, IPTC, copyright, Photoshop, EXIF, GPS.
TOLD = {269, 270, 271, 272, 305, 306, 315, 700, 33432, 33550, 33723, 34377, 34665, 34853}
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"
ANIMATED = ("GIF", "PNG", "WEBP", "TIFF")


def noise(mode: str, side: int = 24) -> Image.Image:
    made = np.random.default_rng(5).integers(0, 256, (side, side + 8, 4), np.uint8)
    return Image.fromarray(made, "RGBA").convert(mode)


def exif(turned: int) -> Image.Exif:
    """Who took it, with what, and where; and how it is turned."""
    made = Image.Exif()
    made[0x0112], made[0x010F], made[0x010E] = turned, SECRET.decode(), SECRET.decode()
    made.get_ifd(0x8769).update({0xA431: SECRET.decode(), 0x927C: SECRET})
    degrees = TiffImagePlugin.IFDRational(48_137, 1000)
    made.get_ifd(0x8825).update({1: "N", 2: (degrees, degrees, degrees), 29: SECRET.decode()})
    return made


def of_tiff(turned: int) -> Image.Exif:
    made = exif(turned)
    made[700], made[33723], made[33550] = XMP, SECRET, (48.137,) * 3
    return made


def text() -> PngInfo:
    made = PngInfo()
    made.add_text("Comment", SECRET.decode())
    made.add_text("Author", SECRET.decode(), zip=True)
    made.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return made


def photograph(kind: str, turned: int = 1, mode: str = "RGB") -> bytes:
    """A picture with all that its format can carry."""
    how = {"exif": exif(turned).tobytes(), "icc_profile": PROFILE}
    if kind == "JPEG":
        how |= {"comment": SECRET, "xmp": XMP, "progressive": True, "quality": 90}
    elif kind == "PNG":
        how["pnginfo"] = text()
    elif kind in ("WEBP", "AVIF", "HEIF"):
        how["xmp"] = XMP
    elif kind == "TIFF":
        how["exif"] = of_tiff(turned)
    elif kind == "GIF":
        how = {"comment": SECRET, "loop": 0, "xmp": XMP}
    elif kind == "JPEG2000":
        how = {"comment": SECRET}
    return encoded(noise(mode), kind, **how)


def shown(content: bytes) -> tuple[tuple[int, int], str, bytes]:
    found = whole(content, 4096, {})
    return found.size, found.mode, found.tobytes()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=formats())


def holds_nothing(content: bytes) -> bool:
    """Whether a file names nobody and no place, however it is read."""
    told = opened(content)
    told.load()
    if TOLD & {*told.getexif()} or told.getexif().get_ifd(0x8825):
        return False
    every = [content, *(str(one).encode() for one in told.info.values())]
    return not any(SECRET in one or PLACE in one or PLACE[::-1] in one for one in every)


def can(kind: str) -> bool:
    return kind in formats() and (kind != "AVIF" or bool(features.check("avif")))


KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(not can(kind), reason=f"no {kind} here"))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "HEIF", "AVIF", "JPEG2000", "BMP", "PPM")
]


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_shows_the_same_and_tells_no_more(kind: str, turned: int) -> None:
    before = photograph(kind, turned)
    after = without_metadata(before)
    assert (SECRET in before) == (kind not in ("BMP", "PPM"))
    assert shown(after) == shown(before)
    assert opened(after).format == opened(before).format
    assert opened(after).info.get("icc_profile") == opened(before).info.get("icc_profile")
    assert holds_nothing(after)
    assert without_metadata(after) == after


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "1"), ("WEBP", "RGBA"),
     ("TIFF", "CMYK"), ("TIFF", "1"), ("TIFF", "F"), ("TIFF", "P"), ("GIF", "P")],
)  # fmt: skip
def test_so_does_a_picture_of_other_colours(kind: str, mode: str) -> None:
    before = photograph(kind, mode=mode)
    after = without_metadata(before)
    assert shown(after) == shown(before)
    assert opened(after).mode == mode
    assert holds_nothing(after)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "jpeg"])
@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_keeps_its_compressed_pixels(compression: str, big: bool) -> None:
    for image in (noise("RGB", 90), Image.fromarray(np.arange(900, dtype="u2").reshape(30, 30))):
        if image.mode == "RGB" or compression != "jpeg":
            before = encoded(image, "TIFF", compression=compression, exif=of_tiff(6), big_tiff=big)
            after = without_metadata(before)
            assert shown(after) == shown(before)
            assert opened(after).mode == image.mode
            assert holds_nothing(after)


@pytest.mark.parametrize("kind", ANIMATED)
def test_an_animation_keeps_its_frames(kind: str) -> None:
    frames = [noise("RGB").rotate(90 * i) for i in range(3)]
    how = {"pnginfo": text()} if kind == "PNG" else {"exif": exif(1).tobytes(), "comment": SECRET}
    if kind != "TIFF":
        how["duration"] = 70
    before = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **how)
    after = without_metadata(before)
    assert holds_nothing(after)
    was, is_now = opened(before), opened(after)
    assert is_now.n_frames == was.n_frames == 3
    for number in range(3):
        was.seek(number)
        is_now.seek(number)
        assert is_now.tobytes() == was.tobytes()
        assert is_now.info.get("duration") == was.info.get("duration")


def test_colours_of_16_bits_keep_them() -> None:
    values = np.random.default_rng(1).integers(0, 1 << 16, (9, 7, 3)).astype(np.uint16)
    before = png_of_16_bits(values)
    said = b"tEXtComment\0" + SECRET
    said = struct.pack(">I", len(said) - 4) + said + struct.pack(">I", crc32(said))
    assert without_metadata(before[:-12] + said + before[-12:]) == before


def test_what_hangs_on_behind_a_photograph_is_left_out() -> None:
    """A second exposure, or a film, has a place of its own."""
    first, second = photograph("JPEG", 6), photograph("JPEG")
    assert without_metadata(first + second) == without_metadata(first)
    assert holds_nothing(without_metadata(first + second))


def test_a_picture_that_carries_nothing_is_the_same_file() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM"):
        plain = encoded(noise("RGB"), kind)
        assert without_metadata(plain) == plain


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "GIF"])
def test_a_file_that_is_not_built_as_its_format_says_becomes_a_png(kind: str) -> None:
    before = photograph(kind, 6)
    if kind == "JPEG":
        at = before.index(b"\xff\xdb")
        odd = before[:at] + b"\0\0" + before[at:]  # bytes between two segments, which PIL skips
    elif kind == "TIFF":
        odd = before.replace(struct.pack("<HHI", 279, 4, 1), struct.pack("<HHI", 65_000, 4, 1))
    else:
        odd = before[:-1]  # which only says that it ends
    assert odd != before
    after = without_metadata(odd)
    assert opened(after).format == "PNG"
    assert shown(after)[::2] == shown(odd)[::2]
    assert holds_nothing(after)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged tags
@given(st.data())
def test_a_damaged_picture_is_a_picture_without_metadata_or_an_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([k for k in ("JPEG", "PNG", "WEBP", "TIFF", "GIF") if can(k)]))
    content = bytearray(_FILES[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        was = shown(content)
    except Exception:  # it is in no pool
        return
    assert shown(without_metadata(content)) == was


_FILES = {kind: photograph(kind, 6) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF")}


def test_exports_leave_it_behind_unless_it_is_asked_for(home: Path) -> None:
    desk = Desk(home, rounds=0)
    desk.folder.mkdir()
    contents = {}
    for number, (kind, ending) in enumerate((("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"))):
        contents[f"{number}.{ending}"] = photograph(kind, 6)
        (desk.folder / f"{number}.{ending}").write_bytes(contents[f"{number}.{ending}"])
    desk.start()
    for name in contents:
        desk.say(name, 0)
    opened, images = desk.experiment, desk.images
    for keep in (False, True):
        finish(export_folders(opened, images, home / f"{keep}", keep))
        finish(export_folders(opened, images, home / f"{keep}.zip", keep))
        finish(export_parquet(opened, images, home / f"{keep}.parquet", keep))
        found = {path.name: path.read_bytes() for path in (home / f"{keep}" / "cat").iterdir()}
        with zipfile.ZipFile(home / f"{keep}.zip") as archive:
            in_zip = {name[4:]: archive.read(name) for name in archive.namelist()}
        rows = pq.read_table(home / f"{keep}.parquet")["image"].to_pylist()
        in_table = {row["path"]: row["bytes"] for row in rows}
        assert found == in_zip == in_table
        assert found.keys() == contents.keys()
        assert (found == contents) == keep
        assert all(map(holds_nothing, found.values())) != keep
        for name, content in found.items():
            assert shown(content) == shown(contents[name])


def test_every_way_of_turning_is_kept() -> None:
    for kind, turned in itertools.product(("JPEG", "PNG", "WEBP", "TIFF"), range(1, 9)):
        after = without_metadata(photograph(kind, turned))
        assert opened(after).getexif().get(0x0112, 1) == turned
