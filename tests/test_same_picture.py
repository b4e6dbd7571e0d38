"""Whether a file shows what it showed: seen by itself, or answered by a person."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from folder_desk import NAMES, Desk, of_six, pixels, write
from PIL import Image

from al_core.exchange.labels import export_labels, read_labels
from al_core.experiment.source import (
    answer_changes,
    bring_up_to_date,
    images_of,
)
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.records import CHANGED, HERE, MISSING


@pytest.fixture
def desk(home: Path) -> Desk:
    return of_six(home)


def photograph(path: Path, turned: int = 1, caption: str = "", number: int = 0) -> None:
    """A JPEG whose EXIF data turns it, and may have a caption."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = turned, caption
    noise = np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG", exif=exif, comment=caption.encode())


def test_a_rating_that_is_written_into_a_file_changes_nothing(desk: Desk) -> None:
    image = desk.at("a.png")
    write(desk.folder / "a.png", 0, rating=5)
    desk.look()
    assert desk.told() == "1 rewritten"
    assert (desk.at("a.png"), desk.state(image)) == (image, HERE)
    found = desk.images.pictures.find(desk.images.train.files[image]["digest"].tobytes())
    assert found is not None


def test_a_caption_in_a_photograph_changes_nothing_and_to_turn_it_is_asked_about(
    desk: Desk,
) -> None:
    path = desk.folder / "photo.jpg"
    photograph(path)
    desk.look()
    seen = len(desk.experiment.manifest.rows)
    photograph(path, caption="in the garden")
    desk.look()
    assert desk.told(seen) == "1 rewritten"
    photograph(path, turned=3)
    desk.look()
    assert desk.told() == "1 changed"


def test_bytes_behind_the_end_of_a_photograph_are_no_picture(desk: Desk) -> None:
    path = desk.folder / "photo.jpg"
    photograph(path)
    desk.look()
    image = desk.say("photo.jpg", 1)
    path.write_bytes(path.read_bytes() + bytes(50))
    desk.look()
    assert desk.state(image) == HERE
    assert desk.told() == "1 new"


@pytest.mark.parametrize("same", [True, False])
def test_where_a_file_shows_another_picture_somebody_says_which_it_is(
    desk: Desk, same: bool
) -> None:
    image = desk.at("a.png")
    write(desk.folder / "a.png", 77)
    experiment = desk.look()
    assert (desk.told(), desk.state(image)) == ("1 changed", CHANGED)
    assert image not in experiment.free_images
    assert image not in experiment.pool_of(9).labeled
    assert image not in experiment.trained_on.labeled
    assert experiment.pool.answers[image].label == 0  # it is kept all the same
    desk.look()
    assert desk.state(image) == CHANGED  # until it is answered
    answer_changes(desk.store, desk.number, desk.images, [(True, image)], same)
    experiment = desk.look()
    now = desk.at("a.png")
    assert (desk.images.train.images[now] == pixels(77).transpose(2, 0, 1)).all()
    if same:
        assert now == image
        assert image in experiment.pool_of(9).labeled
    else:
        assert now == len(NAMES)
        assert now not in experiment.pool.answers
        assert desk.state(image) == MISSING


def test_several_questions_are_answered_at_once(desk: Desk) -> None:
    for picture, name in enumerate(NAMES[:3]):
        write(desk.folder / name, 200 + picture)
    desk.look()
    assert desk.told() == "3 changed"
    places = [row.place for row in desk.experiment.manifest.asked]
    answer_changes(desk.store, desk.number, desk.images, places[:2], True)
    answer_changes(desk.store, desk.number, desk.images, places, False)
    assert desk.experiment.manifest.asked == []
    assert (desk.at("a.png"), desk.at("b.png"), desk.at("c.png")) == (0, 1, len(NAMES))


def test_a_file_that_is_as_it_was_again_needs_no_answer(desk: Desk) -> None:
    image = desk.at("a.png")
    write(desk.folder / "a.png", 77)
    desk.look()
    write(desk.folder / "a.png", 0)
    desk.look()
    assert desk.state(image) == HERE


def test_an_export_is_read_again_where_two_images_had_one_name(desk: Desk) -> None:
    gone = desk.at("a.png")
    write(desk.folder / "a.png", 77)
    desk.look()
    answer_changes(desk.store, desk.number, desk.images, [(True, gone)], False)
    desk.look()
    now = desk.say("a.png", 1)
    file = io.StringIO()
    export_labels(desk.experiment, file)
    names, manifest = ("cat", "dog"), desk.experiment.manifest
    table = read_labels(file.getvalue().encode(), desk.images, names, manifest)
    assert (table.problems, table.labels) == ([], {gone: 0, 1: 1, now: 1})
    # Whoever was never called so is not meant, and a name alone is of what is there now.
    for head, row in (
        ("key,image,class", f"a.png,{desk.at('c.png')},cat"),
        ("key,class", "a.png,cat"),
    ):
        table = read_labels(f"{head}\n{row}\n".encode(), desk.images, names, manifest)
        assert (table.problems, table.labels) == ([], {now: 0})


def test_another_size_in_memory_changes_nothing(desk: Desk) -> None:
    photograph(desk.folder / "photo.jpg")
    desk.look()
    rows = [*desk.experiment.manifest.rows]
    larger = finish(load(str(desk.folder), image_size=32, cache_dir=desk.home / "cache"))
    bring_up_to_date(desk.store, desk.number, larger)
    assert [*desk.experiment.manifest.rows] == rows
    assert images_of(desk.experiment, larger).size == 32
