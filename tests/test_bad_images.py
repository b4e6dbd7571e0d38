"""Files that call themselves images: each is read as far as it can be, or listed and left out."""

import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import encoded, folder_of, loaded, picture, sentence, shard

from al_core.pictures.decoding import MOST_PIXELS, decode
from al_core.pictures.square import Square

GOOD = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(2)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "pets", *GOOD)


def bomb(side: int) -> bytes:
    """A black PNG of that many pixels a side, one bit each: 30,000 of them take 109 kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + -(-side // 8))
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("side", [30_000, 9_500])  # PIL refuses the first itself
def test_a_picture_that_unpacks_to_gigabytes_is_left_out_without_being_unpacked(
    pets: Path, cache: Path, tmp_path: Path, side: int
) -> None:
    assert side * side > MOST_PIXELS
    (pets / "cat" / "bomb.png").write_bytes(bomb(side))
    rows = [{"bytes": bomb(side), "path": "bomb"}]
    rows += [{"bytes": encoded(picture(i)), "path": str(i)} for i in range(2)]
    table = shard(tmp_path / "all.parquet", [0, 0, 1], rows=rows)
    tracemalloc.start()  # PIL's own memory is not seen by it, the arrays made of it are
    assert loaded(pets, cache).unreadable == ("cat/bomb.png",)
    assert loaded(table, cache).unreadable == ("bomb",)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_a_large_photo_is_read_since_only_a_part_of_it_is_decoded() -> None:
    photo = encoded(Image.new("L", (9_600, 9_400), 90), "JPEG")
    assert MOST_PIXELS < 9_600 * 9_400
    assert (decode(photo, Square(8)) == 90).all()


def test_whatever_the_name_says_a_file_is_what_it_holds(pets: Path, cache: Path) -> None:
    for name, content in {
        "cat/jpeg.png": encoded(picture(200), "JPEG"),
        "cat/gif.jpg": encoded(picture(200), "GIF"),
        "cat/one.png": encoded(picture(200, (1, 1))),
        "dog/line.png": encoded(picture(200, (1, 3000))),
        "dog/zero.png": b"",
        "dog/page.png": b"<script>alert(1)</script>",
        "dog/script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
        "dog/half.png": encoded(Image.effect_noise((64, 64), 90))[:900],
    }.items():
        (pets / name).write_bytes(content)
    (pets / "dog" / "folder.jpg").mkdir()
    picture(200).save(pets / "dog" / "folder.jpg" / "inner.png")
    data = loaded(pets, cache)
    assert set(data.unreadable) == {
        "dog/half.png",
        "dog/page.png",
        "dog/script.jpg",
        "dog/zero.png",
    }
    read = {
        key: int(pixels.mean())
        for half in (data.train, data.test)
        for key, pixels in zip(half.keys, half.images, strict=True)
    }
    added = {
        "cat/gif.jpg",
        "cat/jpeg.png",
        "cat/one.png",
        "dog/folder.jpg/inner.png",
    }
    assert {key for key, mean in read.items() if mean == 200} == added
    added.add("dog/line.png")  # most of its square is beside it
    assert read.keys() == added | set(GOOD)


def test_links_are_followed_within_the_source_and_those_that_lead_out_are_listed(
    pets: Path, cache: Path, tmp_path: Path
) -> None:
    elsewhere = folder_of(tmp_path / "elsewhere", "cow/1.png", "2.png")
    (pets / "cat" / "within.png").symlink_to("../dog/0.png")
    (pets / "cat" / "secret.png").symlink_to(elsewhere / "2.png")
    (pets / "cat" / "notes.txt").symlink_to(elsewhere / "2.png")
    (pets / "cow").symlink_to(elsewhere / "cow")
    (pets / "cat" / "loop.png").symlink_to("loop.png")
    (pets / "dog" / "up").symlink_to("..")
    data = loaded(pets, cache)
    assert set(data.unreadable) == {"cat/loop.png", "cat/secret.png", "cow/"}
    # What is followed is the same picture in two classes, and so in none.
    assert {*data.train.keys, *data.test.keys} == {*GOOD} - {"dog/0.png"}
    assert (data.differ, data.other_names) == (
        ("cat/within.png",),
        {"cat/within.png": ["dog/0.png"]},
    )
    (pets / "cow").unlink()
    assert "cow/" not in loaded(pets, cache).unreadable
    links = tmp_path / "links"
    links.mkdir()
    (links / "1.png").symlink_to(elsewhere / "2.png")
    assert "links alone that lead out of it, as 1.png does" in sentence(links, cache)


def test_many_folders_that_all_link_to_each_other_come_to_an_end(
    tmp_path: Path, cache: Path
) -> None:
    names = [f"class{i:02}" for i in range(12)]  # 12! ways through them
    maze = folder_of(tmp_path / "maze", *(f"{name}/1.png" for name in names))
    for name in names:
        for other in names:
            (maze / name / f"to-{other}").symlink_to(f"../{other}")
    data = loaded(maze, cache)
    assert len(data.train.class_names) == 12
    others = {name for same in data.other_names.values() for name in same}
    assert {f"{name}/1.png" for name in names} <= {*data.train.keys, *data.test.keys, *others}
    assert len(data.train) + len(data.test) == 12


def test_a_pipe_is_not_waited_on(pets: Path, cache: Path) -> None:
    os.mkfifo(pets / "cat" / "pipe.png")
    data = loaded(pets, cache)
    assert data.unreadable == ()
    assert {*data.train.keys, *data.test.keys} == set(GOOD)


def test_a_file_that_may_not_be_read_is_listed(
    pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who runs the tests may be allowed to read everything."""
    whole = Path.read_bytes

    def refused(file: Path) -> bytes:
        if str(file).endswith("dog/1.png"):
            raise PermissionError(13, "Permission denied", str(file))
        return whole(file)

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert loaded(pets, cache).unreadable == ("dog/1.png",)


def test_a_folder_that_may_not_be_read_is_told_in_a_sentence(
    pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.scandir

    def refused(path: Path) -> object:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert sentence(pets, cache) == f"{pets / 'dog'} cannot be read: Permission denied."


def test_names_that_are_no_text_are_kept_apart_and_can_be_stored(pets: Path, cache: Path) -> None:
    odd = os.fsencode(pets / "cat") + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes(encoded(picture(200)))
    (pets / "cat" / "new\nline.png").write_bytes(encoded(picture(201)))
    data = loaded(pets, cache)
    keys = {*data.train.keys, *data.test.keys} - set(GOOD)
    assert keys == {"cat/caf\\xe9.png", "cat/new\nline.png"}


def test_greys_of_sixteen_bits_keep_their_shade_however_large_the_picture() -> None:
    wide = Image.fromarray(np.full((1050, 1050), 257 * 77, dtype=np.uint16))
    assert (decode(encoded(wide), Square(8)) == 77).all()
