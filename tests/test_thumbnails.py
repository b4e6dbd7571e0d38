"""Pictures for people: every pixel of small ones, and no more room than they may take."""

import io
import os
from base64 import b64decode
from pathlib import Path

from PIL import Image
from tiny import encoded, folder_of, loaded

from al_core.pictures.thumbnails import Thumbnails, thumbnail
from al_core.progress import finish
from al_desk.routes.pictures import shown


def kept_files(folder: Path) -> dict[str, int]:
    """Files of 1,000 bytes, the first used the longest ago."""
    files = {}
    for age in range(20):
        path = folder / f"{age % 3:02}" / f"{age}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (1e9 - age, 1e9 - age))
        files[path.name] = age
    return files


def image_of(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.webp")}


def test_small_pictures_keep_every_pixel() -> None:
    image = Image.effect_noise((32, 64), 80).convert("RGB")
    assert image_of(thumbnail(encoded(image))).convert("RGB").tobytes() == image.tobytes()


def test_thumbnails_that_were_not_used_for_longest_make_room(tmp_path: Path) -> None:
    ages = kept_files(tmp_path)
    assert finish(Thumbnails(tmp_path, 20_000).make_room()) == 0
    assert names_in(tmp_path) == set(ages)
    kept = Thumbnails(tmp_path, 10_000)
    work = kept.make_room()
    assert finish(work) == 11
    assert names_in(tmp_path) == {name for name, age in ages.items() if age < 9}
    assert finish(kept.make_room()) == 0
    assert finish(Thumbnails(tmp_path / "none", 10).make_room()) == 0


def test_a_thumbnail_that_is_looked_at_is_used(tmp_path: Path) -> None:
    pets = loaded(folder_of(tmp_path / "pets", "cat/1.png", "dog/1.png"), tmp_path / "cache")
    digest = pets.train.files["digest"][0].tobytes()
    kept = Thumbnails(tmp_path / "thumbnails", 1e9)
    assert kept.of(lambda: pets.pictures, digest)
    (path,) = (tmp_path / "thumbnails").rglob("*.webp")
    os.utime(path, (1e9, 1e9))

    def never() -> None:
        raise AssertionError("it was kept")

    assert kept.of(never, digest) == path.read_bytes()
    assert path.stat().st_mtime > 1e9


def test_sources_without_files_show_their_pixels(tmp_path: Path) -> None:
    digits = loaded("digits", tmp_path / "cache", image_size=32)
    digest, width, height, data = shown(digits.train, [5])[0]
    assert (width, height) == (32, 32)
    start, _, content = data.partition(",")  # no request is needed
    assert start == "data:image/webp;base64"
    assert digits.pictures is not None
    found = digits.pictures.find(bytes.fromhex(digest))
    for drawn in (thumbnail(found), b64decode(content)):
        image = image_of(drawn).convert("RGB")
        assert image.tobytes() == digits.train.images[5].transpose(1, 2, 0).tobytes()
