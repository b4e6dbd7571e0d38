"""What is told of a source before it is decoded, and what its copies do to the split."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import folder_of, loaded, shard

from al_core.config import ExperimentConfig
from al_core.experiment.changes import on_copies
from al_core.experiment.listed import began_with
from al_core.experiment.manifest import Manifest
from al_core.images import survey
from al_core.images.dataset_cache import load
from al_core.images.near_copies import leaking
from al_core.images.split import split
from al_core.pictures import decoding
from al_core.progress import finish
from al_core.sources.content import Content

PETS = [f"{kind}/{i}.png" for kind, n in (("cat", 10), ("dog", 5), ("emu", 2)) for i in range(n)]


def told(source: Path, **how: bool) -> survey.Survey:
    return finish(survey.survey(str(source), cache_dir=source.parent / "cache", **how))


def test_a_source_is_told_of_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pets = folder_of(tmp_path / "pets", *PETS, "unsorted/1.png", "2.png", "cat/@eaDir/1.png")
    (pets / "cow").mkdir()
    for name in ("cat/1.xml", "cat/2.xml", "read.me", "dog/1.svg", "LICENSE"):
        (pets / name).write_text("?")
    monkeypatch.setattr(decoding, "_upright", None)
    found = told(pets)
    assert (found.kind, found.where, found.images) == ("folder", str(pets), 19)
    assert dict(found.classes) == {"cat": 10, "cow": 0, "dog": 5, "emu": 2}
    assert (found.train, found.test, found.own_split, found.unlabelled) == (15, 4, False, 2)
    assert found.folders == ()  # all of them are classes, or say that they are none
    assert found.unmeasured == ("cow", "emu")
    left_out = {ending: count for ending, count, _ in found.left_out}
    assert left_out == {".xml": 2, ".svg": 1, ".me": 1, "": 1, "@eaDir/*.png": 1}
    assert ("@eaDir/*.png", 1, "cat/@eaDir/") in found.left_out
    assert found.samples["emu"] == ("emu/0.png", "emu/1.png")
    assert found.doubts == ()
    monkeypatch.undo()
    data = loaded(pets, tmp_path / "cache")
    assert (len(data.train), len(data.test)) == (found.train, found.test)


def test_the_own_split_of_a_table_is_told(tmp_path: Path) -> None:
    shard(tmp_path / "t" / "train.parquet", [0, 1] * 4)
    shard(tmp_path / "t" / "test.parquet", [0, 1, 1])
    found = told(tmp_path / "t")
    assert (found.kind, found.train, found.test, found.own_split) == ("parquet", 8, 3, True)
    assert dict(found.classes) == {"cat": 5, "dog": 6}
    assert (found.folders, found.doubts) == ((), ())


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["2024-01", "2024-02"], "dates"),
        (["2023", "2024"], "dates"),
        (["20240131", "20240201", "old"], "dates"),
        (["January", "february 2024"], "months"),
        (["Januar", "M\u00e4rz 2024"], "months"),
        (["01 F\u00e9vrier", "ao\u00fbt"], "months"),
        (["enero", "Agosto_2023", "mar\u00e7o"], "months"),
        (["100CANON", "101CANON"], "cameras"),
        (["cam1", "camera north"], "cameras"),
        (["2024-01 Rome", "01-2023"], "dates"),
        (["images", "masks"], "places"),
        (["1", "2", "03"], "numbers"),
        (["batch_1", "batch_2"], "numbers"),
        (["fold1", "fold2"], "numbers"),
        (["Monday", "tue"], "weekdays"),
        (["plane", "train"], "to train"),
    ],
)
def test_folders_that_are_hardly_classes_are_asked_about(
    tmp_path: Path, names: list[str], what: str
) -> None:
    folder = folder_of(tmp_path / "here", *(f"{name}/{i}.png" for name in names for i in range(2)))
    (doubt,) = told(folder).doubts
    assert what in doubt
    assert names[0] in doubt or what == "to train"
    assert doubt.endswith("?")
    answered = told(folder, folders_are_classes=False)
    assert (answered.classes, answered.doubts, answered.unlabelled) == ((), (), 2 * len(names))
    assert dict(answered.folders) == dict.fromkeys(names, 2)


EU_US = [f"{place}/{pet}" for place in ("EU", "US") for pet in ("cats", "dogs")]


@pytest.mark.parametrize(
    ("folders", "doubted"),
    [
        (EU_US, True),
        ([*EU_US, "US/emus"], True),
        ([*EU_US, "NZ/emus"], False),  # what is in it is nowhere else
        ([*EU_US, "US"], False),  # some lie in the folder itself
        ([f"train/{name}" for name in EU_US] + [f"test/{name}" for name in EU_US], True),
        ([*EU_US, "unsorted/cats"], True),
        ([f"{pet}/{year}" for pet in ("cats", "dogs") for year in (2023, 2024)], False),
        ([f"{pet}/images" for pet in ("cats", "dogs")], False),
        (["cats/tabby", "cats/black", "dogs/terrier", "dogs/poodle"], False),
    ],
)
def test_folders_of_the_same_names_within_all_classes_are_asked_about(
    tmp_path: Path, folders: list[str], doubted: bool
) -> None:
    source = folder_of(tmp_path / "here", *(f"{name}/{i}.png" for name in folders for i in "12"))
    doubts = told(source).doubts
    assert len(doubts) == doubted
    if doubted:
        assert doubts[0].startswith(
            "EU, US: are these folders classes, or those in them (cats, dogs)?"
        )
    assert told(source, folders_are_classes=False).doubts == ()


def test_folders_that_are_no_classes_give_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "here", "2024-01/1.png", "2024-02/2.png", "3.png")
    how = {"image_size": 8, "cache_dir": tmp_path / "cache"}
    with_classes = finish(load(str(folder), **how))
    assert with_classes.train.class_names == ("2024-01", "2024-02")
    data = finish(load(str(folder), **how, folders_are_classes=False))
    assert (data.train.class_names, len(data.train)) == ((), 3)
    assert data.unreadable == ()
    assert finish(load(str(folder), **how)).fingerprint == with_classes.fingerprint
    (folder / "metadata.csv").write_text("file_name,label\n2024-01/1.png,cat\n3.png,dog\n")
    named = finish(load(str(folder), **how, folders_are_classes=False))
    assert named.train.class_names == ("cat", "dog")


def test_a_log_from_before_folders_were_asked_about_opens() -> None:
    config = ExperimentConfig(folders_are_classes=False)
    values = config.to_json()
    assert ExperimentConfig.from_json(values) == config
    del values["folders_are_classes"]
    assert ExperimentConfig.from_json(values).folders_are_classes


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8))


def test_copies_lie_on_one_side_and_are_listed(tmp_path: Path) -> None:
    """Else noise with random classes, each file five times, would be known on sight."""
    folder = folder_of(tmp_path / "noise", *(f"{c}/{i}.png" for c in "ab" for i in range(100)))
    for number in range(40):
        for copy in range(5):
            path = folder / "ab"[number % 2] / f"{number // 2 * 5 + copy}.png"
            noise(number).save(path, dpi=(copy + 1, 1))  # of other bytes
    noise(50).save(folder / "a" / "said otherwise.png", dpi=(2, 2))
    noise(50).save(folder / "b" / "said otherwise.png")
    data = loaded(folder, tmp_path / "cache")
    assert len(data.copies) == 41
    assert {len(group) for group in data.copies} == {5, 2}
    test = {*data.test.keys}
    assert len(test) == 40
    for group in data.copies:
        assert {*group} <= test or not test & {*group}
    assert "a/said otherwise.png" not in test  # it measures nothing
    assert data.differ == ()  # these do not have the same bytes


def test_copies_in_the_test_set_of_a_source_are_said(tmp_path: Path) -> None:
    names = [f"{part}/{c}/{i}.png" for part in ("train", "test") for c in "ab" for i in range(3)]
    folder = folder_of(tmp_path / "parts", *names)
    with Image.open(folder / "train/a/1.png") as image:
        image.save(folder / "test/a/1.png", dpi=(2, 2))
    shutil.copy(folder / "train/b/1.png", folder / "test/b/1.png")
    data = loaded(folder, tmp_path / "cache")
    assert data.in_both == ("train/b/1.png",)
    assert on_copies(Manifest(began_with(data)), data) == [
        "The same file lies among the images to train and to test with, and measures nothing: "
        "train/b/1.png = test/b/1.png."
    ]
    assert [data.test.keys[i] for i in leaking(data)] == ["test/a/1.png"]
    expected = (("train/a/1.png", "test/a/1.png"), ("train/b/1.png", "test/b/1.png"))
    assert data.copies == expected


def test_a_test_image_in_folders_of_two_classes_is_left_out_and_known_by_name(tmp_path) -> None:
    names = [f"{part}/{c}/{i}.png" for part in ("train", "test") for c in "ab" for i in range(3)]
    folder = folder_of(tmp_path / "parts", *names)
    shutil.copy(folder / "test/a/1.png", folder / "test/b/1.png")
    data = loaded(folder, tmp_path / "cache")
    assert data.copies == (("test/a/1.png", "test/b/1.png"),)
    assert "test/a/1.png" not in data.test.keys
    assert list(data.disputed.keys) == ["test/a/1.png"]


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 12)), min_size=1, max_size=60))
def test_no_image_measures_what_a_copy_of_it_trains(rows: list[tuple[int, int]]) -> None:
    targets, pictures = np.array(rows).T
    digests = np.array([bytes([p]) * 16 for p in pictures], dtype="V16")
    count = len(rows)
    keys, none = [str(i) for i in range(count)], np.zeros(count, dtype=bool)
    content = Content(keys, targets, none, tuple("abcd"), ())
    parts = split(content, digests=digests)
    assert sorted([*parts.train, *parts.test]) == list(range(count))
    assert not {*pictures[parts.train]} & {*pictures[parts.test]}
    assert {*targets[parts.test]} <= {*targets[parts.train]} - {-1}
