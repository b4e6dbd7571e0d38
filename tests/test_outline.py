"""An experiment that begins with the list of its files: they are read while somebody labels."""

import shutil
from pathlib import Path

import pytest
from outlines import listed, read
from tiny import encoded, folder_of, loaded, picture

from al_core.config import ExperimentConfig
from al_core.experiment.changes import (
    Change,
    changes_since,
)
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.images.outline import identify, outline
from al_core.images.survey import survey
from al_core.pictures import decoding
from al_core.progress import finish
from al_core.store.records import CHANGED, HERE, MISSING, Annotation
from al_core.store.store import Store
from al_desk.setup.source_changes import source_changes

NAMES = [f"{i:02}.png" for i in range(12)]


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Store, int, Path]:
    """An experiment of twelve pictures, none of which was read; four are asked about."""
    folder = folder_of(tmp_path / "pictures", *NAMES)
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    settings = ExperimentConfig(
        str(folder), class_names=("cat", "dog"), initial=4, initial_labels="person",
        per_round=2, rounds=1, image_size=8, held_out_share=0.0,
    )  # fmt: skip
    return store, start_experiment(store, "mine", settings, listed(folder)), folder


def test_what_was_listed_keeps_its_position_once_it_is_read(begun) -> None:
    store, number, folder = begun
    before = open_experiment(store, number)
    assert before.manifest.is_outline
    assert before.pool_size == 12
    asked = before.open_batch.images
    digests = [before.manifest.pool[i].digest for i in asked]
    assert all(digests)
    others = [i for i in range(12) if i not in asked]
    assert not any(before.manifest.pool[i].digest for i in others)
    # While somebody labels, two names are swapped, one is copied, and one turns out to be damaged.
    store.append(number, [Annotation(asked[0], 1, 0, "me", key=NAMES[asked[0]])])
    first, second = (folder / NAMES[i] for i in (asked[0], others[0]))
    shown = first.read_bytes()
    first.rename(folder / "x.png")
    second.rename(first)
    (folder / "x.png").rename(second)
    (folder / NAMES[others[1]]).write_bytes(b"damaged")
    shutil.copy(folder / NAMES[others[2]], folder / NAMES[others[3]])
    dataset = read(store, number, folder)
    now = open_experiment(store, number)
    assert not now.manifest.is_outline
    states = {row.position: row.state for row in now.manifest.pool}
    # Nobody was shown the other one of the swapped ones, so it is no new image.
    assert [i for i, state in states.items() if state == MISSING] == [others[1], others[3]]
    assert set(states.values()) == {HERE, MISSING}
    assert (len(states), now.manifest.pool[others[0]].key) == (12, first.name)
    kept = now.manifest.pool[asked[0]]
    assert kept.digest == digests[0]
    assert kept.key == second.name  # the label went with its picture
    assert (folder / kept.key).read_bytes() == shown
    assert now.manifest.pool[others[2]].other_names == (NAMES[others[3]],)
    assert dataset.train.keys[asked[0]] == second.name
    # The damaged one was never read; the copy is one image with what it shows, and not missing.
    assert changes_since(now.manifest, 0) == [Change("missing", NAMES[others[1]])]
    assert now.manifest.gone == {NAMES[others[1]]}
    (folder / NAMES[others[4]]).unlink()
    read(store, number, folder)
    told = changes_since(open_experiment(store, number).manifest, 0)
    assert [change.key for change in told] == [NAMES[others[1]], NAMES[others[4]]]


def test_what_is_deleted_before_it_is_read_is_missing(begun) -> None:
    store, number, folder = begun
    asked = open_experiment(store, number).open_batch.images
    never_shown = next(i for i in range(12) if i not in asked)
    for image in (asked[0], never_shown):
        (folder / NAMES[image]).unlink()
    picture(200).save(folder / "new.png")
    read(store, number, folder)
    told = changes_since(open_experiment(store, number).manifest, 0)
    assert [change.kind for change in told] == ["new", "missing", "missing"]
    assert {change.key for change in told[1:]} == {NAMES[asked[0]], NAMES[never_shown]}


def test_files_that_go_while_they_are_read_are_missing_and_not_left_out(begun, monkeypatch) -> None:
    store, number, folder = begun
    real = decoding._decode_or_none
    asked = open_experiment(store, number).open_batch.images
    goes, damaged = [i for i in range(12) if i not in asked][:2]
    (folder / NAMES[damaged]).write_bytes(b"damaged")

    def decode(picture, size):
        (folder / NAMES[goes]).unlink(missing_ok=True)
        return real(picture, size)

    monkeypatch.setattr(decoding, "_decode_or_none", decode)
    dataset = read(store, number, folder)
    now = open_experiment(store, number)
    assert dataset.unreadable == (NAMES[damaged],)
    told = [matter.words for matter in source_changes(store, now, dataset)]
    assert told == ["1 missing", "", "1 left out"]
    assert now.manifest.gone == {NAMES[goes], NAMES[damaged]}


@pytest.mark.parametrize("shown", [0, 1, 2])
def test_three_files_that_change_names_in_a_circle_before_they_are_read_are_three_images(
    begun, shown: int
) -> None:
    store, number, folder = begun
    asked = [*open_experiment(store, number).open_batch.images]
    others = [i for i in range(12) if i not in asked]
    circle = [*asked[:shown], *others[: 3 - shown]]
    bodies = [(folder / NAMES[i]).read_bytes() for i in circle]
    for image, body in zip(circle, (*bodies[1:], bodies[0]), strict=True):
        (folder / NAMES[image]).write_bytes(body)
    read(store, number, folder)
    manifest = open_experiment(store, number).manifest
    assert [row.state for row in manifest.pool] == [HERE] * 12
    assert {row.key for row in manifest.pool} == {*NAMES}
    for image, body in zip(circle[:shown], bodies, strict=False):  # what was shown stays
        assert (folder / manifest.pool[image].key).read_bytes() == body


def test_a_training_image_that_swaps_names_with_a_test_image_does_not_measure(tmp_path) -> None:
    names = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(6)]
    folder = folder_of(
        tmp_path / "pictures", *(f"{p}/{n}" for p in ("train", "test") for n in names)
    )
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    settings = ExperimentConfig(
        str(folder), initial=4, initial_labels="person", per_round=2, rounds=1, image_size=8
    )
    number = start_experiment(store, "mine", settings, listed(folder))
    before = open_experiment(store, number)
    asked = before.manifest.pool[before.open_batch.images[0]]
    tested = before.manifest.test[0]
    shown, measured = (folder / row.key for row in (asked, tested))
    for one, other in ((shown, folder / "aside"), (measured, shown), (folder / "aside", measured)):
        one.rename(other)
    read(store, number, folder)
    manifest = open_experiment(store, number).manifest
    assert manifest.pool[asked.position].digest == asked.digest
    assert manifest.test[0].state == MISSING
    assert (manifest.pool[-1].key, manifest.pool[-1].state) == (asked.key, HERE)


def test_a_picture_that_was_asked_about_and_replaced_before_it_was_read_is_asked_about(begun):
    store, number, folder = begun
    asked = open_experiment(store, number).open_batch.images[0]
    picture(255).save(folder / NAMES[asked])
    read(store, number, folder)
    now = open_experiment(store, number)
    assert now.manifest.pool[asked].state == CHANGED


def test_an_outline_knows_sizes_and_digests_of_what_is_looked_at(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pictures", *NAMES[:3])
    turned = picture(9, (30, 20)).getexif()
    turned[0x0112] = 6
    (folder / NAMES[0]).write_bytes(encoded(picture(9, (30, 20)), "JPEG", exif=turned))
    (folder / NAMES[1]).write_bytes(b"damaged")
    made, whole = listed(folder), loaded(folder, tmp_path / "cache")
    identify(made, [0, 1])
    sizes = made.train.files[["width", "height"]].tolist()
    assert sizes == [(20, 30), (1, 1), (0, 0)]
    assert made.train.files["digest"][0] == whole.train.files["digest"][0]
    assert isinstance(made.pictures.find(made.train.files["digest"][0].tobytes()), bytes)
    assert made.pictures.find(bytes(16)) is None


def test_sources_without_files_or_of_one_class_do_not_begin_with_their_list(tmp_path: Path) -> None:
    assert listed(folder_of(tmp_path / "a", "cat/1.png", "cat/2.png", "cat/3.png")) is None
    content = finish(survey("digits", cache_dir=tmp_path)).content
    assert outline("digits", content, 8) is None
