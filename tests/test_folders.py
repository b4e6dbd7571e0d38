"""What the folders of a source are taken for: parts, classes, images without a label, litter."""

import zipfile
from pathlib import Path

import pytest
from tiny import folder_of, loaded, sentence

from al_core.images.dataset import Dataset
from al_core.images.survey import survey
from al_core.progress import finish
from al_core.sources import archive
from al_core.sources.split_words import split_of

CAT_DOG = ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
NO_PARTS = ["road/train/1.png", "road/car/1.png", "sea/test_ship/1.png", "sea/2.png"]
TRAINS = [f"{name}/{i}.png" for name in ("plane", "train") for i in range(3)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(params=["folder", "zip"])
def packed(request: pytest.FixtureRequest, tmp_path: Path):
    """A folder of these files, as it is or as a .zip."""

    def make(*names: str) -> Path:
        folder = folder_of(tmp_path / "here", *(name for name in names if name[-1] != "/"))
        for name in names:
            if name.endswith("/"):
                (folder / name).mkdir(parents=True)
        if request.param == "folder":
            return folder
        with zipfile.ZipFile(tmp_path / "here.zip", "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, Path("here") / path.relative_to(folder))
        return tmp_path / "here.zip"

    return make


def below(part: str, *names: str) -> list[str]:
    return [f"{part}/{name}" for name in names]


def said(data: Dataset) -> tuple[dict[str, str], dict[str, str]]:
    """The class of each image to train on and to test with, by key; "" without one."""
    names = (*data.train.class_names, "")
    assert data.train.class_names == data.test.class_names
    train, test = (
        {key: names[target] for key, target in zip(half.keys, half.targets, strict=True)}
        for half in (data.train, data.test)
    )
    return train, test


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Training", "train"), ("seg_train", "train"), ("training_set", "train"), ("TEST", "test"),
        ("train2017", "train"), ("my-test.v2", "test"), ("eval", "test"), ("valid", "validation"),
        ("Evaluation Set", "test"), ("dev", "validation"), ("val_256", "validation"),
        ("testset", "test"), ("TestData", "test"), ("TRAIN_A", "train"),
        ("trainee", ""), ("contest", ""), ("invalid", ""), ("train-test", ""), ("device", ""),
        ("trains", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_word_of_a_split_stands_between_separators(name: str, split: str) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("trainSet", "testSet"),
        ("seg_train", "seg_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set", "test_set"),
        ("train", "dev"),
        ("TRAIN", "valid"),
        ("mine/train", "mine/eval"),
    ],
)
def test_parts_are_known_by_the_words_of_splits(packed, cache: Path, train: str, test: str) -> None:
    data = loaded(packed(*below(train, *CAT_DOG), *below(test, *CAT_DOG)), cache)
    for half, part in zip(said(data), (train, test), strict=True):
        assert half == {f"{part}/{name}": name[:3] for name in CAT_DOG}
    assert data.unreadable == ()


@pytest.mark.parametrize(
    ("names", "train", "left_out"),
    [
        # A flat test folder measures nothing, a second one is not needed, and notes are no class.
        ([*below("train", *CAT_DOG), "test/1.png"], 4, ["test/1.png"]),
        ([*below("train", *CAT_DOG), "notes/x.png", "1.png"], 5, ["notes/x.png"]),
        (
            below("train", *CAT_DOG) + below("test", *CAT_DOG) + below("val", "cat/1.png"),
            4,
            ["val/cat/1.png"],
        ),
        (["train/1.png", "train/2.png", "test/1.png"], 2, ["test/1.png"]),
        (["1.png", "2.png", "test/1.png"], 2, ["test/1.png"]),
        (below("test", *CAT_DOG), 4, []),  # all that there is
        (["test/1.png", "test/2.png"], 2, []),
        (CAT_DOG + below("val", *CAT_DOG), 4, []),
    ],
)
def test_what_is_not_used_is_listed(
    packed, cache: Path, names: list[str], train: int, left_out: list[str]
) -> None:
    data = loaded(packed(*names), cache)
    assert len(data.train) == train
    assert list(data.unreadable) == left_out
    assert not any(key.startswith("test/") for key in data.train.keys) or train == len(names)


@pytest.mark.parametrize("names", [TRAINS, [n.replace("train", "dev") for n in TRAINS], NO_PARTS])
def test_a_class_may_be_called_like_a_split(packed, cache: Path, names: list[str]) -> None:
    data = loaded(packed(*names), cache)
    assert said(data)[0] == {name: name.partition("/")[0] for name in names}


@pytest.mark.parametrize(
    "names",
    [
        below("valid", *CAT_DOG) + below("test", *CAT_DOG),
        ["valid/1.png", "test/1.png"],
        [*TRAINS, "test/1.png"],
        [f"{c}/{part}/1.png" for c in ("cat", "dog") for part in ("Train", "test")],
    ],
)
def test_what_cannot_be_told_is_refused(packed, cache: Path, names: list[str]) -> None:
    said = sentence(packed(*names), cache)
    assert "train on" in said or "are those classes" in said or "within its classes" in said


@pytest.mark.parametrize(
    ("names", "without"),
    [
        ([*CAT_DOG, "unlabeled/1.png", "Unsorted/deep/2.png"], 2),
        ([*CAT_DOG, "to_label/1.png", "Not-Labelled/2.png", "no class/3.png"], 3),
        ([*CAT_DOG, "Un-labeled/1.png", "_un_sorted_/2.png", "Unlabelled images/3.png"], 3),
        ([*below("train", *CAT_DOG, "UNKNOWN/1.png"), "unlabelled/1.png"], 2),
        (CAT_DOG + [f"{i}.png" for i in range(11)], 11),  # loose ones, also if they are more
        ([*below("train", *CAT_DOG, "x.png"), "y.png"], 2),
    ],
)
def test_what_lies_beside_classes_has_no_label_and_is_in_the_pool(
    packed, cache: Path, names: list[str], without: int
) -> None:
    data = loaded(packed(*names), cache)
    assert data.train.class_names == ("cat", "dog")
    train, _ = said(data)
    assert sorted(train) == sorted(names)
    assert {name for name in names if not train[name]} == {*names[4:]}
    assert len(names[4:]) == without
    assert data.unreadable == ()
    assert not data.has_truth


def test_a_class_folder_may_be_empty_and_one_of_notes_is_no_class(packed, cache: Path) -> None:
    names = [*below("train", *CAT_DOG), "train/cow/", "train/emu/deep/", "val/", "train/unknown/"]
    assert loaded(packed(*names), cache).train.class_names == ("cat", "cow", "dog", "emu")


def test_folders_that_hold_one_another_are_looked_through(packed, cache: Path) -> None:
    names = below("download/pets", *CAT_DOG, "cow/")
    (tmp := packed(*names, "download/pets/notes/")).exists()
    if tmp.is_dir():
        (tmp / "download" / "pets" / "notes" / "read.me").write_text("?")
        assert loaded(tmp, cache).train.class_names == ("cat", "cow", "dog")
    assert {key[14:17] for key in loaded(tmp, cache).train.keys} <= {"cat", "dog", "s/c", "s/d"}


def test_a_few_copies_beside_photographs_are_no_class(packed, cache: Path) -> None:
    data = loaded(packed("1.png", "2.png", "3.png", "copies/1.png"), cache)
    assert (data.train.class_names, len(data.train)) == ((), 4)
    assert data.notes[0].startswith("The folder copies is not taken for a class")
    advice = loaded(packed("1.png", "2.png", "3.png", "copies/1.png", "others/"), cache)
    assert (advice.train.class_names, advice.notes) == (("copies", "others"), ())


LITTER = ["cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.png", "__MACOSX/cat/._1.png", "dog/._1.png"]
LITTER += ["#recycle/1.png", "$RECYCLE.BIN/a/1.png", ".thumbnails/1.png", "lost+found/1.png"]
LITTER += [".@__thumb/1.png", "_thumbs/1.png", "My Previews.lrdata/1.png"]
LITTER += [".hidden/1.png", "cat/.secret.png", ".picasaoriginals/deep/er/1.jpg"]
LITTER += ["System Volume Information/1.png", "cat/SYNOPHOTO_THUMB_XL.png"]


def test_litter_is_left_out_and_listed(packed, cache: Path) -> None:
    where = packed(*CAT_DOG, *LITTER)
    told = finish(survey(str(where), cache_dir=cache)).left_out
    assert ("@eaDir/*.png", 1, "cat/@eaDir/") in told
    assert (".picasaoriginals/*.jpg", 1, ".picasaoriginals/") in told
    assert (".png", 3, "cat/.secret.png") in told
    assert sum(count for _, count, _ in told) == len(LITTER)
    data = loaded(where, cache)
    assert said(data)[0] == {name: name[:3] for name in CAT_DOG}
    assert sorted(data.unreadable) == sorted(
        name if name.endswith(("._1.png", "/.secret.png", "XL.png")) and "MACOSX" not in name
        else name[: name.index("/", 4) + 1]
        if name.startswith("cat/") else name[: name.index("/") + 1]
        for name in LITTER
    )  # fmt: skip


def test_a_zip_is_bounded_and_says_what_it_cannot_read(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pets = folder_of(tmp_path / "pets", *CAT_DOG)
    path = tmp_path / "pets.ZIP"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in CAT_DOG:
            packed.write(pets / name, name.replace("/", "\\"))  # as some Windows programs do
        packed.write(pets / "cat/1.png", "../../outside.png")
        packed.writestr("cat/large.png", bytes(5_000_000))  # in 5 kB
        packed.writestr("cat/damaged.png", b"no picture")
    monkeypatch.setattr(archive, "MOST_OF_A_FILE", 1_000_000)
    data = loaded(path, cache)
    assert said(data)[0] == {name: name[:3] for name in CAT_DOG}
    assert data.unreadable == ("../../outside.png", "cat/damaged.png", "cat/large.png")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert "is damaged or is no .zip file" in sentence(path, cache)
    path.write_bytes(whole)
    monkeypatch.setattr(archive, "MOST_FILES", 6)
    assert "unpack it" in sentence(path, tmp_path / "another cache")
    monkeypatch.setattr(archive, "MOST_FILES", 7)
    monkeypatch.setattr(archive, "MOST_UNPACKED", 5_000_000)
    assert "unpack it" in sentence(path, tmp_path / "another cache")
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("notes.txt", "?")
    assert "holds no images" in sentence(path, cache)
