"""Folders of classes that come, go and change their names around an experiment that has begun."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from folder_desk import Desk, write

from al_core.errors import SourceError
from al_core.experiment.moved import move
from al_core.experiment.start import start_experiment
from al_core.store.records import MISSING

CLASSES = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(8)]


@pytest.fixture
def by_class(home: Path) -> Desk:
    """Two class folders of eight pictures, below one that holds both."""
    made = Desk(home, (), initial=4, initial_labels="truth", per_round=2)
    for picture, name in enumerate(CLASSES):
        write(made.folder / "pets" / name, picture)
    made.start()
    return made


def a_loose_picture(pets: Path) -> None:
    write(pets.parent / "loose.png", 90)


def a_class_that_went(pets: Path) -> None:
    shutil.rmtree(pets / "dog")


def classes_renamed(pets: Path) -> None:
    for name in ("cat", "dog"):
        (pets / name).rename(pets / f"{name}s")


def a_class_renamed(pets: Path) -> None:
    (pets / "dog").rename(pets / "Dog")


def a_table_of_one_label(pets: Path) -> None:
    (pets / "metadata.csv").write_text("file_name,label\ncat/1.png,tiger\n")


def parts_that_came(pets: Path) -> None:
    for i in range(2):
        write(pets / "train" / "cat" / f"new {i}.png", 90 + i)


def a_part_of_another_class(pets: Path) -> None:
    write(pets / "test" / "fish" / "new.png", 90)


def another_folder_beside(pets: Path) -> None:
    write(pets.parent / "misc" / "new.png", 90)


def sorted_into_one(pets: Path) -> None:
    for path in (pets / "cat").iterdir():
        path.rename(pets / "dog" / f"was cat {path.name}")
    (pets / "cat").rmdir()


@pytest.mark.parametrize(
    "change",
    [a_loose_picture, a_class_that_went, classes_renamed, a_class_renamed, a_table_of_one_label,
     parts_that_came, a_part_of_another_class, another_folder_beside, sorted_into_one],
)  # fmt: skip
def test_whatever_becomes_of_folders_an_experiment_goes_on_with_its_classes(
    by_class: Desk, change
) -> None:
    before, shown = by_class.images, by_class.experiment.manifest
    change(by_class.folder / "pets")
    by_class.look()
    now, manifest = by_class.images, by_class.experiment.manifest
    for then, after in zip(before.splits, now.splits, strict=True):
        assert (after.targets[: len(then)] == then.targets).all()
        assert (after.images[: len(then)] == then.images).all()
    missing = {row.digest for row in manifest.pool[: len(shown.pool)] if row.state == MISSING}
    gone = change is a_class_that_went
    assert bool(missing) == gone
    assert len(now.test) == len(before.test)


def test_a_copy_in_the_folder_of_another_class_takes_nothing_away(by_class: Desk) -> None:
    before = by_class.images
    pets = by_class.folder / "pets"
    for key in (before.train.keys[0], before.test.keys[0]):
        other = "dog" if key.split("/")[-2] == "cat" else "cat"
        shutil.copy(by_class.folder / key, pets / other / f"copy of {key.replace('/', ' ')}")
    by_class.look()
    now = by_class.images
    assert by_class.experiment.away == frozenset()
    for then, after in zip(before.splits, now.splits, strict=True):
        assert (after.targets == then.targets).all()
        assert (after.images == then.images).all()
    # Beside such copies a cache is still of use: pixels of what goes next are kept.
    (by_class.folder / before.train.keys[1]).unlink()
    by_class.look()
    assert by_class.images.blank == frozenset()
    assert (by_class.images.train.images == before.train.images).all()


def test_pixels_of_what_is_gone_come_along_when_the_folder_moves(by_class: Desk) -> None:
    before = by_class.images
    (by_class.folder / before.train.keys[0]).unlink()
    by_class.look()
    elsewhere = by_class.home / "elsewhere"
    by_class.folder.rename(elsewhere)
    by_class.source = by_class.read(elsewhere)
    move(by_class.store, by_class.number, by_class.source)
    assert by_class.images.blank == frozenset()
    assert (by_class.images.train.images[0] == before.train.images[0]).all()


def test_no_new_experiment_starts_on_one_class(by_class: Desk) -> None:
    a_class_that_went(by_class.folder / "pets")
    with pytest.raises(SourceError, match="one class only"):
        start_experiment(by_class.store, "another", by_class.config, by_class.read())
