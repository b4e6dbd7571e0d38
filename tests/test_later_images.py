"""Images that come after an experiment has begun: what they join, and what may measure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from folder_desk import NAMES, Desk, of_six, write
from PIL import Image
from squares import CPU
from test_near_copies import photograph, read, save, settings
from tiny import encoded

from al_core.config import TrainConfig
from al_core.experiment.changes import in_words, of_other_classes, untrained_changes
from al_core.experiment.experiment import open_experiment
from al_core.experiment.later import came_later, draw_from_new, spoken_of, to_draw, to_draw_from
from al_core.experiment.leases import Holder, hand_in, take_new_batch
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.experiment.start import start_experiment
from al_core.images.near_copies import leaking
from al_core.loop.advance import advance, choose_batch
from al_core.loop.replay import replay
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.store.store import Store


def of_classes(home: Path, test: bool = False, **config) -> Desk:
    """Ten pictures of each of two classes; perhaps with a test folder of the source's own."""
    desk = Desk(home, typed=(), **config)
    for part in ("train/", "test/") if test else ("",):
        for number, name in enumerate(("cat", "dog")):
            for picture in range(10):
                path = desk.folder / f"{part}{name}" / f"{picture}.png"
                write(path, 1000 * len(part) + 100 * number + picture)
    desk.start()
    return desk


def test_a_split_of_ours_stays_and_what_comes_later_joins_the_pool(tmp_path: Path) -> None:
    desk = of_classes(tmp_path)
    before = {key: i for i, key in enumerate(desk.images.test.keys)}
    for picture in range(40):
        write(desk.folder / "cat" / f"new-{picture}.png", 500 + picture)
    desk.look()
    assert {key: i for i, key in enumerate(desk.images.test.keys)} == before
    assert desk.experiment.pool_size == 16 + 40
    assert (desk.images.train.targets[16:] == 0).all()


def test_test_images_that_come_later_join_where_the_source_says_so(tmp_path: Path) -> None:
    desk = of_classes(tmp_path, test=True)
    before = list(desk.images.test.keys)
    write(desk.folder / "test" / "cat" / "later.png", 700)
    write(desk.folder / "train" / "cat" / "later.png", 701)
    desk.look()
    assert [*before, "test/cat/later.png"] == list(desk.images.test.keys)
    assert desk.images.train.keys[-1] == "train/cat/later.png"


def test_a_copy_of_an_image_that_measures_is_never_learned(tmp_path: Path) -> None:
    desk = of_classes(tmp_path)
    size = desk.experiment.pool_size
    tested = desk.images.test.keys[0]
    picture = 100 * tested.startswith("dog") + int(Path(tested).stem)
    write(desk.folder / "cat" / "copy.png", picture, rating=3)
    desk.look()
    assert desk.told() == "1 copied"
    assert desk.experiment.pool_size == size


def test_a_class_that_comes_later_shifts_no_label(tmp_path: Path) -> None:
    desk = of_classes(tmp_path)
    before = desk.images.train.targets.tolist()
    for picture in range(5):
        write(desk.folder / "ant" / f"{picture}.png", 800 + picture)
    desk.look()
    assert desk.images.train.class_names == ("cat", "dog")
    assert desk.images.train.targets[:16].tolist() == before
    assert (desk.images.train.targets[16:] == -1).all()
    assert of_other_classes(desk.experiment) == {"ant": 5}
    desk.say("ant/0.png", 0)
    (desk.folder / "ant" / "1.png").unlink()
    desk.look()
    assert of_other_classes(desk.experiment) == {"ant": 3}


def test_images_to_measure_with_are_drawn_from_the_new_ones_when_asked(tmp_path: Path) -> None:
    desk = of_classes(tmp_path)
    assert to_draw_from(desk.experiment, desk.images) == []
    for picture in range(10):
        write(desk.folder / "cat" / f"new-{picture}.png", 500 + picture)
    desk.look()
    assert to_draw_from(desk.experiment, desk.images) == list(range(16, 26))
    draw_from_new(desk.store, desk.number, desk.images)
    drawn = desk.experiment.drawn_later
    assert len(drawn) == 2
    assert not set(drawn) & set(desk.experiment.free_images.tolist())
    keys = {desk.images.train.keys[i] for i in drawn}
    assert set(desk.images.test.keys[4:]) == keys
    assert to_draw_from(desk.experiment, desk.images) == []
    desk.look()
    assert desk.experiment.drawn_later == drawn


def test_copies_are_drawn_together_and_none_of_what_may_be_trained_on(tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    for number in range(30):
        save(folder / "ab"[number % 2] / f"{number}.png", photograph(number))
    store, data = Store(f"sqlite:///{tmp_path / 'al.db'}"), read(folder)
    number = start_experiment(store, "mine", settings(folder, initial_labels="person"), data)
    trained = data.train.keys[:10]
    for key in trained:  # near-copies of these come,
        with Image.open(folder / key) as image:
            save(folder / "a" / f"of-{Path(key).stem}.jpg", encoded(image, "JPEG", quality=60))
    for other in range(100, 110):  # and others, each of them twice
        save(folder / "b" / f"{other}.png", photograph(other))
        save(folder / "b" / f"{other}.jpg", encoded(photograph(other), "JPEG", quality=60))
    data = read(folder)
    bring_up_to_date(store, number, data)
    now = open_experiment(store, number)
    images = images_of(now, data)
    assert (len(came_later(now)), len(to_draw_from(now, images))) == (30, 20)
    said = to_draw(now, images)
    draw_from_new(store, number, data)
    now = open_experiment(store, number)
    assert now.drawn_later == said
    keys = sorted(now.manifest.pool[i].key for i in said)
    assert len(keys) == 4  # a fifth
    assert [key.removesuffix(".jpg") for key in keys[::2]] == [
        key.removesuffix(".png") for key in keys[1::2]
    ]
    images = images_of(now, data)
    assert leaking(images) == ()
    assert set(images.test.targets[-4:].tolist()) == {1}


def test_accuracy_speaks_of_each_image_once_and_not_of_those_without_a_class(tmp_path) -> None:
    desk = of_classes(tmp_path)
    assert spoken_of(desk.experiment.manifest) == 20
    for picture in range(10):
        write(desk.folder / "cat" / f"new-{picture}.png", 500 + picture)
    write(desk.folder / "loose.png", 600)
    desk.look()
    now = desk.experiment
    assert (spoken_of(now.manifest), len(came_later(now))) == (20, 11)
    left = len(now.left)
    draw_from_new(desk.store, desk.number, desk.images)
    now = desk.experiment
    assert (spoken_of(now.manifest), came_later(now)) == (31, [])
    assert len(now.left) == left - 2  # nobody will be asked about what measures
    write(desk.folder / "later.png", 601)
    (desk.folder / now.manifest.pool[now.drawn_later[0]].key).rename(desk.folder / "cat" / "x.png")
    now = desk.look()
    assert (spoken_of(now.manifest), len(came_later(now))) == (31, 1)
    assert to_draw(now, desk.images) == []


def test_held_out_images_are_drawn_from_the_new_ones_when_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path, held_out_share=0.5)
    for picture, name in enumerate(NAMES):
        write(desk.folder / name, picture)
    desk.start()
    before = list(desk.experiment.reserved)
    for picture in range(4):
        write(desk.folder / f"new-{picture}.png", 500 + picture)
    desk.look()
    assert desk.experiment.reserved == before
    draw_from_new(desk.store, desk.number, desk.images)
    assert desk.experiment.reserved[:3] == before
    assert len(desk.experiment.reserved) == 5
    assert min(desk.experiment.reserved[3:]) >= 6


def test_as_it_was_before_new_images_came_is_the_smaller_pool(tmp_path: Path) -> None:
    desk = of_six(tmp_path)
    then = desk.experiment.log_position
    write(desk.folder / "0.png", 60)
    desk.look()
    assert desk.experiment.pool_size == len(NAMES) + 1
    assert desk.experiment.as_of(then).pool_size == len(NAMES)
    of_before = replace(then, images=0)  # as a log of an earlier version has it
    assert desk.experiment.as_of(of_before).pool_size == len(NAMES)


def test_a_round_goes_on_with_a_pool_that_has_grown_and_is_chosen_again_as_it_was(
    home: Path,
) -> None:
    quick = TrainConfig(epochs=1, min_steps=2, batch_size=4)
    desk = of_classes(home, train=quick, initial=4, rounds=3)

    def label() -> None:
        experiment = desk.experiment
        batch = finish(
            take_new_batch(
                desk.store, desk.number, Holder("tab", "ada"),
                lambda e, n: choose_batch(e, n, desk.images, CPU),
            )
        )  # fmt: skip
        keys = desk.images.train.keys
        desk.store.append(desk.number, [
            Annotation(i, n % 2, experiment.next_round, "ada", key=keys[i])
            for n, i in enumerate(batch.images)
        ])  # fmt: skip
        hand_in(desk.store, desk.number, batch)

    label()
    finish(advance(desk.store, desk.number, desk.images, CPU))
    for picture in range(8):
        write(desk.folder / "cat" / f"0-{picture}.png", 500 + picture)
    (desk.folder / "cat" / "1.png").unlink()
    desk.look()
    assert in_words(untrained_changes(desk.experiment)) == "8 new, 1 missing"
    label()
    finish(advance(desk.store, desk.number, desk.images, CPU))
    assert untrained_changes(desk.experiment) == []
    later = desk.experiment.rounds[-1].images_scored
    assert later > desk.experiment.rounds[0].images_scored
    label()
    write(desk.folder / "dog" / "0-last.png", 600)
    desk.look()
    finish(advance(desk.store, desk.number, desk.images, CPU))
    assert any(image >= 16 for batch in desk.experiment.batches for image in batch.images)
    again = finish(replay(desk.store, desk.number, desk.images, CPU))
    assert [one.is_exact for one in again if one.batch.scores] == [True] * 3
    assert all(one.in_order for one in again)
