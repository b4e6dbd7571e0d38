"""A folder that changes: labels stay with the pictures they were given, whatever happens to names,
times and bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from folder_desk import NAMES, SIZE, Desk, of_six, pixels, write
from PIL import Image

from al_core.exchange.labels import import_labels, read_labels
from al_core.experiment import source
from al_core.experiment.changes import on_copies
from al_core.experiment.later import draw_from_new
from al_core.experiment.listed import began_with
from al_core.experiment.manifest import Manifest
from al_core.experiment.source import answer_changes
from al_core.images.dataset_cache import load
from al_core.pictures import decoding
from al_core.progress import finish
from al_core.store.records import CHANGED, HERE, MISSING


@pytest.fixture
def desk(home: Path) -> Desk:
    return of_six(home)


def test_new_files_are_appended_and_missing_ones_are_not_asked_about(desk: Desk) -> None:
    before = desk.experiment.pool_size
    for picture in range(12):
        write(desk.folder / f"0{picture}.png", 100 + picture)
    gone = desk.at("f.png")
    (desk.folder / "f.png").unlink()
    experiment = desk.look()
    assert desk.told() == "12 new, 1 missing"
    assert experiment.pool_size == before + 12
    assert gone not in experiment.free_images
    assert set(range(before, before + 12)) <= set(experiment.free_images.tolist())
    assert desk.rows() == {"a.png": "cat", "b.png": "dog"}


@pytest.mark.parametrize("in_memory", [0, 1e9])
def test_each_position_shows_its_picture_where_the_order_of_a_pool_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, in_memory: float
) -> None:
    monkeypatch.setattr(source, "IN_MEMORY", in_memory)
    before = {key: desk.images.train.images[desk.at(key)].copy() for key in ("a.png", "f.png")}
    (desk.folder / "b.png").unlink()
    for picture in range(3):
        write(desk.folder / f"0{picture}.png", 100 + picture)
    desk.look()
    shown = desk.images.train.images
    assert isinstance(shown, np.memmap) == (not in_memory)
    for key, picture in before.items():
        assert (shown[desk.at(key)] == picture).all()
    assert (shown[desk.at("02.png")] == pixels(102).transpose(2, 0, 1)).all()


def test_what_has_changed_is_told_until_a_round_has_seen_it(desk: Desk) -> None:
    """Neither an answer nor a draw takes its place."""
    desk.look()
    for picture in range(8):
        write(desk.folder / f"0{picture}.png", 100 + picture)
    (desk.folder / "f.png").unlink()
    (desk.folder / "e.png").rename(desk.folder / "x.png")
    write(desk.folder / "a.png", 77)
    desk.look()
    assert desk.told() == "8 new, 1 missing, 1 moved, 1 changed"
    answer_changes(desk.store, desk.number, desk.images, [(True, desk.at("a.png"))], True)
    assert desk.told() == "8 new, 1 missing, 1 moved, 1 rewritten"
    draw_from_new(desk.store, desk.number, desk.source)
    drawn = len(desk.experiment.drawn_later)
    assert drawn
    assert desk.told() == f"8 new, 1 missing, 1 moved, 1 rewritten, {drawn} drawn to measure"
    for picture in range(8):  # and go again
        (desk.folder / f"0{picture}.png").unlink()
    desk.look()
    assert desk.told() == "1 missing, 1 moved, 1 rewritten"
    assert desk.told(len(desk.experiment.manifest.rows)) == ""


def test_a_name_that_another_picture_has_by_now_is_not_missing(desk: Desk) -> None:
    write(desk.folder / "a.png", 70)
    desk.look()
    answer_changes(desk.store, desk.number, desk.images, [(True, desk.at("a.png"))], False)
    manifest = desk.experiment.manifest
    assert (desk.told(), manifest.gone) == ("1 new", frozenset())
    (desk.folder / "b.png").rename(desk.folder / "c.png")
    desk.look()
    assert desk.told() == "1 new, 1 missing, 1 moved"  # what c.png showed is there no more


def test_a_missing_file_that_comes_back_is_at_its_position(desk: Desk) -> None:
    image = desk.at("a.png")
    (desk.folder / "a.png").rename(desk.home / "a.png")
    desk.look()
    assert (desk.told(), desk.state(image)) == ("1 missing", MISSING)
    assert desk.rows()["a.png"] == "cat"
    seen = len(desk.experiment.manifest.rows)
    (desk.home / "a.png").rename(desk.folder / "a.png")
    desk.look()
    assert (desk.told(seen), desk.told(), desk.state(image)) == ("1 back", "", HERE)
    assert len(desk.experiment.manifest.pool) == len(NAMES)


def test_a_moved_file_keeps_its_label_and_is_found_by_its_former_name(desk: Desk) -> None:
    (desk.folder / "2024").mkdir()
    (desk.folder / "a.png").rename(desk.folder / "2024" / "first.png")
    experiment = desk.look()
    assert desk.told() == "1 moved"
    assert desk.rows() == {"2024/first.png": "cat", "b.png": "dog"}
    table = read_labels(
        b"key,class_name\na.png,dog\n", desk.images, ("cat", "dog"), experiment.manifest
    )
    assert table.problems == []
    import_labels(desk.store, experiment, table, desk.images, "ben")
    assert desk.rows()["2024/first.png"] == "dog"


def test_labels_of_swapped_names_go_with_the_pictures_even_of_one_size_and_time(
    desk: Desk,
) -> None:
    a, b, aside = desk.folder / "a.bmp", desk.folder / "b.bmp", desk.folder / "aside"
    for path, picture in ((a, 50), (b, 51)):
        Image.fromarray(pixels(picture)).save(path)
        os.utime(path, ns=(10**18, 10**18))
    desk.look()
    first, second = desk.say("a.bmp", 0), desk.say("b.bmp", 1)
    seen = len(desk.experiment.manifest.rows)
    a.rename(aside)
    b.rename(a)
    aside.rename(b)
    desk.look()
    assert (desk.told(seen), desk.told()) == ("2 moved", "2 new")
    assert (desk.at("a.bmp"), desk.at("b.bmp")) == (second, first)
    assert (desk.rows()["a.bmp"], desk.rows()["b.bmp"]) == ("dog", "cat")
    assert (desk.images.train.images[first] == pixels(50).transpose(2, 0, 1)).all()


def test_the_same_bytes_twice_are_one_image_with_both_names(desk: Desk) -> None:
    shutil.copy(desk.folder / "a.png", desk.folder / "z.png")
    desk.look()
    assert desk.told() == "1 copied"
    assert desk.experiment.pool_size == len(NAMES)
    assert desk.rows() == {"a.png": "cat", "z.png": "cat", "b.png": "dog"}
    (desk.folder / "a.png").unlink()
    desk.look()
    assert desk.rows() == {"z.png": "cat", "b.png": "dog"}


def test_a_name_of_a_copy_that_another_picture_has_by_now_is_that_ones(desk: Desk) -> None:
    shutil.copy(desk.folder / "c.png", desk.folder / "z.png")
    desk.look()
    assert desk.at("z.png") == desk.at("c.png")
    write(desk.folder / "c.png", 77)
    (desk.folder / "a.png").rename(desk.folder / "z.png")
    image = desk.at("a.png")
    desk.look()
    assert desk.state(desk.at("c.png")) == CHANGED
    assert desk.at("z.png") == image
    assert desk.rows() == {"z.png": "cat", "b.png": "dog"}


@pytest.mark.parametrize("others_known", [True, False])
def test_copies_in_folders_of_two_classes_have_no_known_class_and_measure_nothing(
    tmp_path: Path, others_known: bool
) -> None:
    desk = Desk(tmp_path)
    for picture in range(10):
        write(desk.folder / "cat" / f"{picture}.png", picture)
        write(desk.folder / "dog" / f"{picture}.png", 20 + picture)
    for folder in ("cat", "dog"):
        write(desk.folder / folder / "both.png", 99)
    if not others_known:
        write(desk.folder / "unsorted" / "1.png", 50)
    source = desk.read()
    (note,) = on_copies(Manifest(began_with(source)), source)
    what = "is left out" if others_known else "measures nothing"
    assert note == (
        "The same file lies in folders of different classes, so its class is not known, and it "
        f"{what}: cat/both.png = dog/both.png."
    )
    assert ("cat/both.png", "dog/both.png") in source.copies
    assert "cat/both.png" not in source.test.keys
    assert source.has_truth == others_known
    if others_known:  # it can be simulated
        assert "cat/both.png" not in source.train.keys
    else:
        assert source.train.targets[source.train.keys.index("cat/both.png")] == -1


def test_a_copy_in_the_folder_of_another_class_does_not_change_the_class_an_image_came_with(
    home: Path,
) -> None:
    desk = Desk(home, typed=())
    for picture in range(10):
        write(desk.folder / "cat" / f"{picture}.png", picture)
        write(desk.folder / "dog" / f"{picture}.png", 20 + picture)
    before = desk.start().manifest
    for row in (before.pool[0], before.test[0]):
        shutil.copy(desk.folder / row.key, desk.folder / "dog" / f"of {Path(row.key).name}")
    for folder in ("cat", "dog"):
        write(desk.folder / folder / "both.png", 99)
    now = desk.look()
    said = on_copies(now.manifest, desk.images)
    pool, test = now.manifest.pool[0].key, now.manifest.test[0].key
    assert {Path(key).parts[0] for key in (pool, test)} == {"cat"}
    assert sorted(said) == [
        "The same file lies in folders of different classes, so its class is not known, and it is "
        "left out: cat/both.png = dog/both.png.",
        "The same file lies in folders of different classes; it keeps the one it came with: "
        + ", ".join(f"{key} = dog/of {Path(key).name} (cat)" for key in sorted((pool, test))) + ".",
    ]  # fmt: skip
    assert desk.images.notes == ()


def test_only_what_is_new_is_decoded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = decoding._decode_or_none

    def counted(picture, size):
        decoded.append(Path(picture).name)
        return real(picture, size)

    monkeypatch.setattr(decoding, "_decode_or_none", counted)
    write(desk.folder / "new.png", 60)
    desk.look()
    assert decoded == ["new.png"]
    fresh = finish(load(str(desk.folder), image_size=SIZE, cache_dir=desk.home / "another"))
    assert fresh.fingerprint == desk.source.fingerprint
    assert (fresh.train.images == desk.source.train.images).all()


def test_nothing_is_written_where_nothing_has_changed(desk: Desk) -> None:
    rows = len(desk.experiment.manifest.rows)
    os.utime(desk.folder / "a.png")
    assert not desk.look().manifest.rows[rows:]
