"""Which files are pictures: by their endings, by their first bytes, by what is installed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import features
from tiny import encoded, folder_of, loaded, picture, sentence

from al_core.images.dataset import Dataset
from al_core.sources import formats

GOOD = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(2)]
KINDS = {".jfif": "JPEG", ".jpe": "JPEG", ".JPG": "JPEG", ".jp2": "JPEG2000", ".avif": "AVIF"}
KINDS |= {".Png": "PNG", ".BMP": "BMP", ".TIFF": "TIFF", ".gif": "GIF", ".webp": "WEBP"}
KINDS |= {".ppm": "PPM"}


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    formats.formats.cache_clear()
    yield
    formats.formats.cache_clear()


def shades(data: Dataset) -> dict[str, int]:
    halves = [zip(half.keys, half.images, strict=True) for half in data.splits]
    return {key: round(pixels.mean()) for half in halves for key, pixels in half}


def can(kind: str) -> bool:
    return kind != "AVIF" or bool(features.check("avif"))


def test_every_ending_is_read_and_so_is_a_file_without_one(tmp_path: Path) -> None:
    pets = folder_of(tmp_path / "pets", *GOOD)
    kinds = {ending: kind for ending, kind in KINDS.items() if can(kind)}
    for number, (ending, kind) in enumerate(kinds.items()):
        names = f"cat/x{ending}", f"dog/bare {kind}", f"dog/IMG.{len(kind)}{len(ending)}"
        for place, name in enumerate(names):
            side = 64 + 3 * number + place  # no two files are the same
            (pets / name).write_bytes(encoded(picture(200, (side, side)), kind))
    (pets / "dog" / "README").write_bytes(b"BM is a kind of picture, and this is none")
    (pets / "dog" / "EMPTY").write_bytes(b"")
    found = shades(loaded(pets, tmp_path / "cache"))
    added = {key: shade for key, shade in found.items() if key not in GOOD}
    assert {f"cat/x{e}" for e in kinds} | {f"dog/bare {k}" for k in kinds.values()} <= {*added}
    assert "dog/README" not in added
    assert "dog/EMPTY" not in added
    assert set(added.values()) <= {198, 199, 200, 201, 202}


def test_heic_without_its_decoder_is_listed_with_what_would_read_it(
    tmp_path: Path, without_heif: None
) -> None:
    pets = folder_of(tmp_path / "pets", *GOOD)
    names = [f"cow/{i}.heic" for i in range(3)] + ["cow/4.HEIF", "cow/IMG_5"]
    (pets / "cow").mkdir()
    for name in names:
        (pets / name).write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
    data = loaded(pets, tmp_path / "cache")
    assert sorted(data.unreadable) == sorted(names)
    assert data.train.class_names == ("cat", "cow", "dog")  # not gone without a word
    (note,) = data.notes
    assert "4 .heic, 1 .heif" in note
    assert "pillow-heif" in note
    (pets / "cow" / "6.NEF").write_bytes(b"raw")
    assert "cow/6.NEF" in loaded(pets, tmp_path / "cache").unreadable
    (note,) = loaded(pets, tmp_path / "cache").notes
    assert note.endswith("1 .nef; install pillow-heif, make .nef into JPEG or PNG.")
    only = folder_of(tmp_path / "only")
    only.mkdir()
    (only / "1.heic").write_bytes((pets / "cow" / "1.heic").read_bytes())
    assert "1 .heic; install pillow-heif" in sentence(only, tmp_path / "cache")


def test_heic_is_read_once_its_decoder_is_there(tmp_path: Path, without_heif: None) -> None:
    pets = folder_of(tmp_path / "pets", *GOOD)
    sys.modules.pop("pillow_heif")
    heif = pytest.importorskip("pillow_heif", reason="no pillow-heif found")
    heif.register_heif_opener()
    (pets / "cat" / "x.heic").write_bytes(encoded(picture(200, (64, 64)), "HEIF"))
    sys.modules["pillow_heif"] = None  # type: ignore[assignment]
    assert loaded(pets, tmp_path / "cache").unreadable == ("cat/x.heic",)
    sys.modules["pillow_heif"] = heif
    formats.formats.cache_clear()
    data = loaded(pets, tmp_path / "cache")
    assert data.unreadable == data.notes == ()
    assert abs(shades(data)["cat/x.heic"] - 200) < 3
