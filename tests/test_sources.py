"""What the bundled digits and folders of images are found to hold."""

import os

import numpy as np
import pytest
from PIL import Image
from tiny import folder_of, loaded, sentence

from al_core.errors import SourceError
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.sources import listing, sources


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_digits_come_crisp_with_a_fifth_of_each_class_for_testing(cache):
    data = loaded("digits", cache, image_size=32)
    assert data.train.images.shape[1:] == (3, 32, 32)
    assert len(data.train) + len(data.test) == 1797
    assert data.has_truth
    share = np.bincount(data.test.targets) / 179.7
    assert share.min() > 0.18
    assert share.max() < 0.22
    blocks = data.train.images.reshape(-1, 3, 8, 4, 8, 4)
    assert (blocks == blocks[:, :, :, :1, :, :1]).all()
    assert data.train.images.max() == 255
    assert not set(data.train.keys) & set(data.test.keys)


@pytest.mark.parametrize(
    ("names", "classes", "train", "test"),
    [
        (
            ["train/b/1.png", "train/a/2.png", "test/a/1.png"],
            ("a", "b"),
            {"train/a/2.png": 0, "train/b/1.png": 1},
            {"test/a/1.png": 0},
        ),
        (
            ["train/a/1.png", "train/b/2.png", "val/b/3.PNG", "notes/x.png"],
            ("a", "b"),
            {"train/a/1.png": 0, "train/b/2.png": 1},
            {"val/b/3.PNG": 1},
        ),
        (
            ["c10/1.png", "c2/deep/er/1.png", ".hidden/1.png", "c2/.hidden.png"],
            ("c2", "c10"),
            {"c2/deep/er/1.png": 0, "c10/1.png": 1},
            {},
        ),
        (["10.png", "9.png"], (), {"9.png": -1, "10.png": -1}, {}),
        (["train/2.png", "train/1.png"], (), {"train/1.png": -1, "train/2.png": -1}, {}),
        (
            ["plane/1.png", "train/1.png"],
            ("plane", "train"),
            {"plane/1.png": 0, "train/1.png": 1},
            {},
        ),
    ],
)
def test_a_folder_says_by_its_shape_what_its_images_are(
    tmp_path, cache, names, classes, train, test
):
    data = loaded(folder_of(tmp_path / "here", *names), cache)
    assert data.train.class_names == data.test.class_names == classes
    assert dict(zip(data.train.keys, data.train.targets, strict=True)) == train
    assert dict(zip(data.test.keys, data.test.targets, strict=True)) == test
    assert data.has_truth == bool(classes)


def test_damaged_files_are_named_and_left_out(tmp_path, cache):
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(10)]
    pets = folder_of(tmp_path / "pets", *names)
    (pets / "cat" / "3.png").write_bytes(b"no picture")
    whole = (pets / "dog" / "4.png").read_bytes()
    (pets / "dog" / "4.png").write_bytes(whole[: len(whole) // 2])
    (pets / "dog" / "5.png").write_bytes(b"")
    (pets / "dog" / "gone.png").symlink_to("nowhere.png")
    (pets / "stray.png").write_bytes(whole)
    data = loaded(pets, cache)
    assert sorted(data.unreadable) == ["cat/3.png", "dog/4.png", "dog/5.png", "dog/gone.png"]
    assert len(data.train) + len(data.test) == 18
    assert data.train.targets[list(data.train.keys).index("stray.png")] == -1
    for half in (data.train, data.test):
        for pixels, key in zip(half.images, half.keys, strict=True):
            assert (pixels == np.asarray(Image.open(pets / key)).transpose(2, 0, 1)).all()


def test_a_folder_is_reported_before_it_is_looked_at_and_while_it_is(tmp_path, cache, monkeypatch):
    gone = load(str(tmp_path / "gone"), cache_dir=cache)
    assert next(gone).phase == "Listing"
    with pytest.raises(SourceError):
        next(gone)
    monkeypatch.setattr(sources, "LISTED", 2)
    monkeypatch.setattr(listing, "REPORTED", 3)
    pets = folder_of(tmp_path / "pets", "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
    reports = []
    finish(load(str(pets), cache_dir=cache), reports.append)
    listed = [(report.done, report.total) for report in reports if report.phase == "Listing"]
    assert listed == [(0, 0), (3, 0), (6, 0), (2, 4), (4, 4)]


def test_what_cannot_be_loaded_is_said_in_a_sentence(tmp_path, cache):
    for unknown in ("mnist", ""):
        assert "digits or cifar10" in sentence(unknown, cache)
    assert "There is no file or folder" in sentence(tmp_path / "gone", cache)
    (tmp_path / "empty").mkdir()
    assert "holds no images" in sentence(tmp_path / "empty", cache)
    one = folder_of(tmp_path / "one", "cat/1.png", "cat/2.png")
    assert "one class only (cat)" in sentence(one, cache)
    strange = folder_of(tmp_path / "strange", "train/a/1.png", "train/b/1.png", "test/c/1.png")
    assert "classes that its training images do not have: c" in sentence(strange, cache)
    no_text = os.fsdecode(b"a/\xff.png")
    alike = folder_of(tmp_path / "alike", no_text, "a/\\xff.png", "b/1.png", "b/2.png")
    assert "two files that are both shown as a/\\xff.png" in sentence(alike, cache)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.png").write_bytes(b"?")
    assert "can be read" in sentence(tmp_path / "bad", cache)
    (tmp_path / "notes.txt").write_text("?")
    assert "cannot be used" in sentence(tmp_path / "notes.txt", cache)
    (tmp_path / "mine.tar.gz").write_text("?")
    assert "md5 differs" in sentence(tmp_path / "mine.tar.gz", cache)
    for size in (7, 513):
        assert "8 to 512" in sentence("digits", cache, image_size=size)
