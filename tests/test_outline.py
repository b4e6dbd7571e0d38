"""An experiment that begins with the list of its files: they are read while somebody labels."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, expect
from tabs import leave, tab
from test_near_copies import photograph, save
from tiny import encoded, folder_of, loaded, picture

from al_core.config import ExperimentConfig
from al_core.experiment.changes import (
    Change,
    changes_since,
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
from al_core.images.outline import identify, outline
from al_core.images.survey import survey
from al_core.pictures import decoding
from al_core.progress import finish
from al_core.store.records import CHANGED, HERE, LISTED, MEASURES, MISSING, Annotation
from al_core.store.store import Store
from al_desk.server.images import MANY
from al_desk.setup.source_changes import source_changes
from tests.servers import APP, serving

NAMES = [f"{i:02}.png" for i in range(12)]
WAITS = 60_000  # milliseconds


def listed(folder: Path) -> Dataset | None:
    content = finish(survey(str(folder), cache_dir=folder.parent)).content
    return outline(str(folder), content, 8)


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


def read(store: Store, number: int, folder: Path) -> Dataset:
    bring_up_to_date(store, number, loaded(folder, folder.parent / "cache"))
    return images_of(open_experiment(store, number), loaded(folder, folder.parent / "cache"))


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


def test_sources_without_files_or_of_one_class_do_not_begin_with_their_list(tmp_path: Path) -> None:
    assert listed(folder_of(tmp_path / "a", "cat/1.png", "cat/2.png", "cat/3.png")) is None
    content = finish(survey("digits", cache_dir=tmp_path)).content
    assert outline("digits", content, 8) is None


def test_the_first_batch_is_labelled_while_many_images_are_read(
    browser: BrowserContext, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    body = encoded(picture(90, (90, 60)), "JPEG")
    for i in range(MANY):
        (folder / f"{i:05}.jpg").write_bytes(body + i.to_bytes(4, "big"))
    home = tmp_path / "home"
    with serving(home, APP, "--data", str(folder)) as server:
        page = tab(browser)
        page.goto(server.url)
        expect(page.get_by_text(f"{MANY:,} images")).to_be_visible(timeout=WAITS)
        page.get_by_role("textbox", name="Classes").fill("cat\ndog")
        page.get_by_role("spinbutton", name="Initial images").fill("4")
        page.get_by_role("spinbutton", name="Initial images").press("Tab")
        page.get_by_role("button", name="Start experiment").click()
        expect(page.get_by_text("0 of 4 saved")).to_be_visible(timeout=WAITS)
        for key in "1212":
            page.keyboard.press(key)
        expect(page.get_by_text("4 of 4 saved")).to_be_visible()
        expect(page.get_by_text("Reading the images of")).to_have_count(0, timeout=WAITS)
        expect(page.get_by_text("4 of 4 saved")).to_be_visible()
        manifest = open_experiment(Store(f"sqlite:///{home / 'al.db'}"), 1).manifest
        assert manifest.rows[0].state == LISTED
        assert not manifest.is_outline  # all are read by now
        page.keyboard.press("Enter")
        expect(page.get_by_text("Round 0").first).to_be_visible(timeout=WAITS)
        leave(page)
