"""What lies on the disk: shown, cleaned without losing anything, deleted for good."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from encoders import frozen
from house import House, al_core, pictures, told

from al_core.cli.main import main
from al_core.experiment.experiment import open_experiment
from al_core.experiment.source import images_of
from al_core.features.embed import frozen_features
from al_core.models.hardware import find_hardware
from al_core.progress import finish
from al_core.storage.kept import FEATURES, IMAGES, THUMBNAILS, look
from al_core.store.upgrade import copied


@pytest.fixture
def house(home: Path, weights: Path) -> Iterator[House]:
    made = House(home, weights)
    yield made
    made.store.close()


def test_after_deleting_for_good_nothing_of_it_is_on_disk_and_nothing_of_others_is_gone(
    house: House,
) -> None:
    home, store = house.home, house.store
    photos = pictures(home / "photos", 0)
    mine, others = house.start("first of two", photos), house.start("second of two", photos)
    before = house.files(), house.rows(mine), house.rows(others)
    upload = pictures(home / "uploads" / "holiday", 50)
    secret = house.start("secret thing", upload)
    store.folder(secret).joinpath("random-0-4.json").write_text("{}")
    learned = home / "weights" / f"learned-{open_experiment(store, secret).fingerprint}"
    learned.with_suffix(".safetensors").write_bytes(b"learned from secret thing")
    copied(home / "al.db", home / "al.db.0004.backup")
    # Rows that were changed leave what they were in free pages.
    for _ in range(3):
        store.change_config(secret, {"class_names": ["secret thing"] * 3000})
    store.change_config(secret, {"class_names": ["cat", "dog"]})
    needles = house.needles(secret)
    everywhere = told(home, needles, upload)
    for place in ("al.db", "al.db.0004.backup", "cache/", "features/", "thumbnails", "simulations"):
        assert any(place in one for one in everywhere), place

    ended = al_core("delete", "secret thing", "--for-good", "--yes")
    assert "“secret thing” is gone, and" in ended.stdout
    assert told(home, needles, home / "nothing") == []
    assert not upload.exists()
    assert (house.files(), house.rows(mine), house.rows(others)) == before
    assert [record.id for record in store.experiments()] == [others, mine]
    assert store.experiments(deleted=True) == []
    with closing(sqlite3.connect(home / "al.db.0004.backup")) as backup:
        assert backup.execute("SELECT count(*) FROM experiments").fetchone() == (2,)

    # What two experiments on one folder share goes with the second of them.
    al_core("delete", "first of two", "--for-good", "--yes")
    assert told(home, {b"first of two": "its name"}, home / "nothing") == []
    removed = before[0].keys() - house.files().keys()
    assert removed == {name for name in before[0] if name.startswith(f"weights/{mine}/")}
    assert house.rows(others) == before[2]
    needles = house.needles(others)
    al_core("delete", "second of two", "--for-good", "--yes")
    assert told(home, needles, photos) == []
    assert len([*photos.rglob("*.png")]) == 8


def test_the_number_of_an_experiment_that_is_gone_is_never_given_again(house: House) -> None:
    photos = pictures(house.home / "photos", 0)
    first, last = house.start("first", photos), house.start("last", photos)
    al_core("delete", "last", "--for-good", "--yes")
    assert house.start("next", photos) == last + 1
    al_core("delete", "first", "--for-good", "--yes")
    al_core("delete", "next", "--for-good", "--yes")
    assert house.start("another", photos) == last + 2 > first


def test_a_deleted_experiment_is_named_by_its_number_where_two_have_one_name(house: House) -> None:
    photos = pictures(house.home / "photos", 0)
    for _ in range(2):
        house.start("mine", photos)
        assert "the page can restore it" in al_core("delete", "mine").stdout
    said = CliRunner().invoke(main, ["delete", "mine", "--for-good"])
    assert "2 experiments “mine” were deleted: say #2 or #1 instead" in said.output
    asked = CliRunner().invoke(main, ["delete", "#1", "--for-good"], input="n\n")
    assert "Remove “mine” with its 4 answers" in asked.output
    assert len(house.store.experiments(deleted=True)) == 2
    CliRunner().invoke(main, ["delete", "#1", "--for-good"], input="y\n")
    assert [one.id for one in house.store.experiments(deleted=True)] == [2]
    unknown = CliRunner().invoke(main, ["delete", "fish", "--for-good"])
    assert "There is no experiment “fish”" in unknown.output


def test_what_is_kept_is_shown_by_kind_and_by_experiment(house: House) -> None:
    photos = pictures(house.home / "photos", 0)
    upload = pictures(house.home / "uploads" / "holiday", 50)
    mine, its = house.start("mine", photos), house.start("holiday", upload)
    lines = [line.split(maxsplit=2) for line in al_core("storage").stdout.splitlines()]
    assert [what.partition(" (")[0].strip() for *_, what in lines] == [
        "database", "backups of it", "uploads", "experiments", "learned features", "simulations",
        "decoded images", "features of weights", "thumbnails", "downloads",
        "#2 “holiday”", "#1 “mine”",
    ]  # fmt: skip
    there = finish(look(house.store))
    everything = sum(there.size(kind) for kind in {one.kind for one in there.kept})
    on_disk = [path.lstat() for path in house.home.rglob("*") if path.is_file()]
    once = {(stat.st_dev, stat.st_ino): stat.st_size for stat in on_disk}
    in_photos = sum(path.stat().st_size for path in photos.rglob("*.png"))
    assert everything == sum(once.values()) - in_photos
    assert there.size("uploads", its) == sum(
        path.stat().st_size for path in upload.rglob("*") if path.is_file()
    )
    assert there.size("uploads", mine) == 0
    for kind in (IMAGES, FEATURES, THUMBNAILS):
        assert there.size(kind, mine) > 0
        assert there.size(kind) == there.size(kind, mine) + there.size(kind, its)


def test_cleaning_removes_what_no_experiment_uses_and_nothing_else(house: House) -> None:
    photos, old = pictures(house.home / "photos", 0), pictures(house.home / "old", 80)
    house.start("mine", photos)
    before = house.files()
    gone = house.start("gone", old)
    house.store.delete_experiment(gone)
    with_deleted = house.files()
    al_core("storage", "--clean")
    assert house.files() == with_deleted  # it can be restored
    with sqlite3.connect(house.home / "al.db") as database:  # as another program might
        for table in ("annotations", "batches", "images", "experiments"):
            name = "id" if table == "experiments" else "experiment_id"
            database.execute(f"DELETE FROM {table} WHERE {name} = ?", (gone,))
    ended = al_core("storage", "--clean")
    assert "removed; caches take" in ended.stdout
    kept = {name for name in with_deleted if name.startswith("old/")}
    kept |= {name for name in with_deleted.keys() - before.keys() if "simulations/" in name}
    assert house.files().keys() == before.keys() | kept
    assert "0 kB removed" in al_core("storage", "--clean").stdout


def test_down_to_a_limit_what_was_used_last_stays_and_all_can_be_computed_again(
    house: House,
) -> None:
    folders = [pictures(house.home / f"photos {i}", 100 * i) for i in range(3)]
    numbers = [house.start(f"of {i}", folder) for i, folder in enumerate(folders)]
    there = finish(look(house.store))
    for one in there.kept:  # the first was used the longest ago
        (user,) = one.users if len(one.users) == 1 else (None,)
        if user is not None:
            for path in one.paths:
                os.utime(path, (1e9 + user, 1e9 + user))
    caches = (IMAGES, FEATURES, THUMBNAILS)
    sizes = {number: sum(there.size(kind, number) for kind in caches) for number in numbers}
    limit = (sizes[numbers[1]] + sizes[numbers[2]]) / 1e9
    al_core("storage", "--clean", "--limit", limit)
    after = finish(look(house.store))
    assert {n: sum(after.size(kind, n) for kind in caches) for n in numbers} == {
        **sizes, numbers[0]: 0,
    }  # fmt: skip
    al_core("storage", "--clean", "--limit", 0)
    after = finish(look(house.store))
    assert sum(map(after.size, caches)) == 0
    for number, folder in zip(numbers, folders, strict=True):
        labels = house.store.log(number)
        house.use(number, house.read(folder))
        assert house.store.log(number)[: len(labels)] == labels
    assert finish(look(house.store)).size(IMAGES) == there.size(IMAGES)


def test_the_last_pixels_of_a_labelled_picture_are_never_removed(house: House) -> None:
    """Its file was deleted; the cache has what is left of it to learn from."""
    photos = pictures(house.home / "photos", 0)
    number = house.start("mine", photos)
    experiment = open_experiment(house.store, number)
    gone = experiment.manifest.pool[0].key
    (photos / gone).unlink()
    al_core("storage", "--clean", "--limit", 0)  # nobody has looked at the folder since
    house.use(number, house.read(photos))
    for limit in (0, 0.001):
        ended = al_core("storage", "--clean", "--limit", limit)
    house.store.restore_experiment(number)
    assert (
        "in use, and cannot be computed again" in al_core("storage", "--clean", "--limit", 0).stdout
    ), ended.stdout
    images = images_of(open_experiment(house.store, number), house.read(photos))
    assert not images.blank
    features = finish(frozen_features(frozen(house.weights), images, find_hardware()))
    assert len(features.train) == len(images.train)
    # A disk that is away: nothing can be computed again.
    before = house.files()
    shutil.move(photos, house.home.with_name(f"{house.home.name} away"))
    al_core("storage", "--clean", "--limit", 0)
    shutil.move(house.home.with_name(f"{house.home.name} away"), photos)
    assert house.files() == before


def test_a_limit_that_is_no_number_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_CACHE_GB", "much")
    said = CliRunner().invoke(main, ["storage", "--clean"])
    assert said.output == "Error: AL_CACHE_GB must be a number of gigabytes, such as 20: much.\n"
