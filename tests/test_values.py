"""Pictures of more than 8 bits: one range for those of a source, and it is said."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from zlib import compress, crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import encoded, loaded

from al_core.pictures.decoding import decode, whole
from al_core.pictures.square import Square
from al_core.pictures.thumbnails import original, thumbnail
from al_core.pictures.values import range_of

BITS = {
    "12 bits in 16": (np.uint16, "PNG", 4095, "16 bits are shown from 0 (black) to 4,095"),
    "10 bits in 16": (np.uint16, "PNG", 1023, "16 bits are shown from 0 (black) to 1,023"),
    "16 bits": (np.uint16, "TIFF", 65535, "16 bits are shown from 0 (black) to 65,535"),
    "32-bit integers": (np.int32, "TIFF", 255, "whole numbers are shown from 0 (black) to 255"),
    "large integers": (np.int32, "TIFF", 900_000, "whole numbers are shown from 0 (black) to 900"),
    "floats to 255": (np.float32, "TIFF", 255, "fractions are shown from 0 (black) to 255"),
    "floats to 1": (np.float32, "TIFF", 1, "fractions are shown from 0 (black) to 1 (white)"),
}


@pytest.mark.parametrize(("kind", "form", "white", "said"), BITS.values(), ids=[*BITS])
def test_a_source_is_shown_in_one_range_which_is_said(
    tmp_path: Path, kind: type, form: str, white: int, said: str
) -> None:
    """A dark picture stays dark beside a bright one, and those of 8 bits are as they were."""
    folder = tmp_path / "scans"
    folder.mkdir()
    shades = {"dark": 0.02, "grey": 0.5, "white": 1.0}
    for name, share in shades.items():
        image = Image.fromarray(np.full((20, 30), share * white).astype(kind))
        (folder / f"{name}.{form.lower()}").write_bytes(encoded(image, form))
    Image.new("L", (8, 8), 70).save(folder / "plain.png")
    data = loaded(folder, tmp_path / "cache")
    found = {
        key.split(".")[0]: (image[:, 2:5].min(), image[:, 2:5].max())  # not beside it
        for key, image in zip(data.train.keys, data.train.images, strict=True)
    }
    assert found.pop("plain") == (70, 70)
    for name, share in shades.items():
        for value in found[name]:
            assert abs(int(value) - 255 * share) <= 1.1
    (note,) = data.notes
    assert said in note
    again = loaded(folder, tmp_path / "cache")
    assert (again.notes, again.fingerprint) == (data.notes, data.fingerprint)


def png(values: np.ndarray) -> bytes:
    """16-bit colours [H,W,3] as PNG, which PIL does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    height, width, _ = values.shape
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def tiff(values: np.ndarray, order: str = "<", how: int = 1, turned: int = 1) -> bytes:
    """The same as TIFF: plain (``how`` 1) or deflated (8), perhaps to be turned."""
    height, width, _ = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = compress(data) if how == 8 else data
    strips = {256: width, 257: height, 258: None, 259: how, 262: 2, 273: None, 274: turned,
              277: 3, 278: height, 279: len(data)}  # fmt: skip
    after = 8 + 2 + 12 * len(strips) + 4
    entries = b""
    for tag, value in strips.items():
        count, number = (3, after) if tag == 258 else (1, after + 6 if tag == 273 else value)
        kind = 3 if tag == 258 else 4
        entries += struct.pack(f"{order}HHII", tag, kind, count, number)
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    bits = struct.pack(f"{order}HHH", 16, 16, 16)
    return b"".join([start, struct.pack(f"{order}H", len(strips)), entries, bytes(4), bits, data])


FILES = {
    "png": (png, {}),
    "tif": (tiff, {}),
    "motorola.tif": (tiff, {"order": ">"}),
    "deflated.tif": (tiff, {"how": 8}),
    "deflated motorola.tif": (tiff, {"order": ">", "how": 8}),
}


@pytest.mark.parametrize("white", [1023, 4095, 65535])
@pytest.mark.parametrize(("write", "how"), FILES.values(), ids=[*FILES])
def test_colours_of_16_bits_are_shown_with_their_own_range(
    tmp_path: Path, write: Callable[..., bytes], how: dict, white: int
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    ending = "png" if write is png else "tif"
    colours = np.random.default_rng(white).integers(0, white + 1, (3, 8, 8, 3))
    colours[0, 0, 0] = white
    for i, values in enumerate(colours):
        (folder / f"{i}.{ending}").write_bytes(write(values, **how))
    data = loaded(folder, tmp_path / "cache")
    (note,) = data.notes
    assert f"16 bits for each colour are shown from 0 (black) to {white:,} (white)" in note
    wanted = np.rint(colours * (255 / white)).astype(np.uint8)
    assert np.array_equal(data.train.images.transpose(0, 2, 3, 1), wanted)
    picture = data.pictures.find(data.train.files[1]["digest"].tobytes())
    seen = Image.open(io.BytesIO(thumbnail(picture, ranges=data.pictures.ranges))).convert("RGB")
    assert np.array_equal(np.asarray(seen), wanted[1])
    content, kind = original(data.pictures, data.train.files[1]["digest"].tobytes())
    assert kind == "image/webp"  # a browser would show 12 bits as black
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")), wanted[1])


def test_colours_of_16_bits_are_turned_and_scaled_as_others_are() -> None:
    values = np.zeros((30, 20, 3), np.uint16)
    values[:10] = 4000, 2000, 0  # the top third
    upright = whole(tiff(values, turned=6), 320, {"RGB;16": (0, 4000)})
    assert upright.size == (30, 20)
    assert upright.getpixel((25, 10)) == (255, 128, 0)  # on the right by now
    assert upright.getpixel((5, 10)) == (0, 0, 0)
    pixels = decode(tiff(values[:10]), Square(8))
    assert pixels.shape == (3, 8, 8)
    assert pixels[:, 4, 4].tolist() == [249, 125, 0]  # of 4,095


def test_a_damaged_picture_of_16_bit_colours_is_left_out(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 40, 3))
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, content in {"1.png": png(values), "2.tif": tiff(values)}.items():
        (folder / name).write_bytes(content)
        (folder / f"damaged {name}").write_bytes(content[: len(content) // 2])
    data = loaded(folder, tmp_path / "cache")
    assert data.train.keys == ["1.png", "2.tif"]
    assert set(data.unreadable) == {"damaged 1.png", "damaged 2.tif"}


def test_values_that_are_no_numbers_do_not_change_the_range(tmp_path: Path) -> None:
    values = np.full((8, 8), 100, np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "1.tif").write_bytes(encoded(Image.fromarray(values), "TIFF"))
    (folder / "2.tif").write_bytes(encoded(Image.fromarray(values * np.nan), "TIFF"))
    data = loaded(folder, tmp_path / "cache")
    assert set(data.train.images[0].ravel()) == {100}
    assert set(data.train.images[1].ravel()) == {0}


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.sampled_from(["I", "F", "I;16"]))
def test_all_values_lie_in_the_range_that_is_shown(low: float, more: float, kind: str) -> None:
    black, white = range_of(kind, low, low + more)
    assert black < white
    assert black <= low or low < 0
    assert low + more <= white * 1.005 or low < 0
