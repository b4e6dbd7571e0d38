"""An experiment that begins with the list of files in folders that are classes."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from outlines import listed, read
from PIL import Image
from test_near_copies import photograph, save
from tiny import encoded, folder_of, loaded

from al_core.config import ExperimentConfig
from al_core.experiment.changes import (
    in_words,
    of_other_classes,
    untrained_changes,
)
from al_core.experiment.experiment import open_experiment
from al_core.experiment.later import came_later, spoken_of, to_draw_from
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load_again
from al_core.images.near_copies import leaking, number_of_tests
from al_core.images.outline import outline
from al_core.images.survey import survey
from al_core.progress import finish
from al_core.store.records import HERE, MEASURES, MISSING
from al_core.store.store import Store


def test_labelled_images_train_and_test_from_their_list_as_they_will_once_they_are_read(tmp_path):
    names = [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(10)]
    folder = folder_of(tmp_path / "pictures", *names, "new.png")
    made, whole = listed(folder), loaded(folder, tmp_path / "cache")
    assert len(made.test) == 4
    for before, after in zip(made.splits, whole.splits, strict=True):
        assert before.keys == after.keys
        assert before.targets.tolist() == after.targets.tolist()


@pytest.mark.parametrize("own_split", [False, True])
def test_copies_of_a_labelled_list_lie_on_one_side_once_they_are_read(tmp_path, own_split) -> None:
    names = [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(10)]
    if own_split:
        names = [f"train/{n}" for n in names] + [f"test/{n[:3]}/t{n[4:]}" for n in names]
    folder = folder_of(tmp_path / "pictures", *names)
    made = listed(folder)
    test, train = made.test.keys, made.train.keys
    # One test image is, and one nearly is, what a training image of its class shows.
    of_class = {key: [k for k in train if k.split("/")[-2] == key.split("/")[-2]] for key in test}
    alike = [(test[0], of_class[test[0]][0]), (test[-1], of_class[test[-1]][0])]
    shutil.copy(folder / alike[0][1], folder / alike[0][0])
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    wide = wide.resize((160, 120))
    for name, quality in zip(alike[1], (95, 70), strict=True):
        (folder / name).write_bytes(encoded(wide, "JPEG", quality=quality))
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    settings = ExperimentConfig(
        str(folder), initial=4, initial_labels="person", per_round=2, rounds=1, image_size=16,
    )  # fmt: skip
    content = finish(survey(str(folder), cache_dir=tmp_path)).content
    number = start_experiment(store, "mine", settings, outline(str(folder), content, 16))
    asked = set(open_experiment(store, number).open_batch.images)
    source = loaded(folder, tmp_path / "cache", image_size=16)
    bring_up_to_date(store, number, source)
    now = open_experiment(store, number)
    there = [row for row in now.manifest.test if row.state == HERE]
    pool = [row for row in now.manifest.pool if row.state == HERE]
    assert not asked & {row.position for row in now.manifest.pool if row.state != HERE}
    # Every picture has one place; what was asked about has its own.
    places = [row.digest for row in (*there, *pool)]
    assert sorted(places) == sorted({*places})
    assert set(places) == {d.hex() for part in source.splits for d in part.files["digest"].tolist()}
    dataset = images_of(now, source)
    if own_split:
        assert {row.key for row in there} == {*test} - {test[0]}
        assert leaking(dataset) == (len(test) - 1,)
    else:
        seen = {now.manifest.pool[i].digest for i in asked}
        tested = {d.hex() for d in source.test.files["digest"].tolist()} - seen
        assert {row.digest for row in there} == tested
    assert [change.kind for change in untrained_changes(now)] == []
    assert to_draw_from(now, dataset) == []


def of_classes(tmp_path: Path) -> tuple[Store, int, Path]:
    """An experiment of two classes of twenty, listed and not read, whose files have one size."""
    names = [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(20)]
    folder = folder_of(tmp_path / "pictures", *names)
    for second, name in enumerate(names):
        os.utime(folder / name, ns=(0, 10**18 + second * 10**9))
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    settings = ExperimentConfig(
        str(folder), initial=4, initial_labels="person", per_round=2, rounds=1, image_size=8
    )
    return store, start_experiment(store, "mine", settings, listed(folder)), folder


@pytest.mark.parametrize("missed", [False, True])
def test_images_of_a_folder_that_is_renamed_before_they_are_read_keep_place_and_class(
    tmp_path: Path, missed: bool
) -> None:
    store, number, folder = of_classes(tmp_path)

    def look() -> Dataset:
        source = finish(load_again(
            str(folder), image_size=8, cache_dir=tmp_path / "cache", folders_are_classes=True
        ))  # fmt: skip
        bring_up_to_date(store, number, source)
        return images_of(open_experiment(store, number), source)

    aside = (folder / "cat").rename(tmp_path / "aside")
    if missed:  # while the others are read, which are of one class
        assert look().test.targets.max() == 1
    aside.rename(folder / "kitten")
    (folder / "dog" / "03.png").rename(folder / "dog" / "called otherwise.png")
    dataset = look()
    now = open_experiment(store, number)
    rows = [*now.manifest.pool, *now.manifest.test]
    there = {row.key: row for row in rows if row.state in (HERE, MEASURES)}
    assert there.keys() == {*dataset.base.train.keys, *dataset.base.test.keys}
    assert {key.partition("/")[0] + row.label for key, row in there.items()} == {
        "kittencat",
        "dogdog",
    }
    measures = {row.key for row in now.manifest.test if row.state == HERE}
    if not missed:  # but for what was asked about, sides are those of the source as it is now
        asked = {now.manifest.pool[i].key for i in now.open_images}
        assert measures == {*dataset.base.test.keys} - asked
    measured = dataset.test.targets[[row.state == HERE for row in now.manifest.test]]
    assert set(measured.tolist()) == {0, 1}
    assert in_words(untrained_changes(now)) == "21 moved"
    assert of_other_classes(now) == {}
    assert came_later(now) == []
    if not missed:  # one that measured by its name goes
        (folder / now.manifest.pool[min(now.manifest.came_to_train)].key).unlink()
        look()
        told = in_words(untrained_changes(open_experiment(store, number)))
        assert told == "1 missing, 20 moved"


def test_what_may_be_one_of_several_listed_files_by_now_is_a_new_one(tmp_path: Path) -> None:
    store, number, folder = of_classes(tmp_path)
    asked = {open_experiment(store, number).manifest.pool[i].key
             for i in open_experiment(store, number).open_images}  # fmt: skip
    listed_only = [f"dog/{i:02}.png" for i in range(20) if f"dog/{i:02}.png" not in asked]
    for name in listed_only[:3]:
        os.utime(folder / name, ns=(0, 10**18))
    store, number = Store(f"sqlite:///{tmp_path / 'other.db'}"), 1
    begun = ExperimentConfig(
        str(folder), initial=4, initial_labels="person", per_round=2, rounds=1, image_size=8
    )
    start_experiment(store, "mine", begun, listed(folder))
    for letter, name in zip("ab", listed_only, strict=False):
        (folder / name).rename(folder / "dog" / f"{letter}.png")
    read(store, number, folder)
    told = in_words(untrained_changes(open_experiment(store, number)))
    assert told == "2 new, 2 missing"


def test_what_changes_sides_once_it_is_read_is_no_copy_of_itself(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for number in range(20):
        of_class = folder / "ab"[number % 2]
        save(of_class / f"{number}.png", photograph(number))
        save(of_class / f"{number}.jpg", encoded(photograph(number), "JPEG", quality=60))
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    settings = ExperimentConfig(
        str(folder), initial=2, initial_labels="person", per_round=2, rounds=1, image_size=32
    )
    content = finish(survey(str(folder), cache_dir=tmp_path)).content
    number = start_experiment(store, "mine", settings, outline(str(folder), content, 32))
    source = loaded(folder, tmp_path / "cache", image_size=32)
    bring_up_to_date(store, number, source)
    now = open_experiment(store, number)
    assert len(source.near_copies) == 20
    assert [row for row in now.manifest.test if row.state == MISSING]  # both ways
    assert now.drawn_later
    assert (spoken_of(now.manifest), came_later(now)) == (40, [])
    asked = {now.manifest.pool[i].key.rpartition(".")[0] for i in now.open_images}
    dataset = images_of(now, source)
    assert number_of_tests(dataset) == sum(row.state == HERE for row in now.manifest.test)
    leaks = {dataset.test.keys[i].rpartition(".")[0] for i in leaking(dataset)}
    assert leaks <= asked  # what somebody was asked about stays, whatever its copy does
