"""Predictions of pictures that have changed since, or that were not there yet."""

from pathlib import Path

import numpy as np
import pytest
from folder_desk import Desk, write
from squares import CPU, QUICK

from al_core.analysis.pool_map import PoolMap
from al_core.experiment.experiment import Experiment
from al_core.experiment.later import draw_from_new
from al_core.experiment.leases import Holder, hand_in, take_new_batch
from al_core.experiment.predictions import load_predictions
from al_core.experiment.ready_batch import save_ready
from al_core.experiment.source import answer_changes
from al_core.loop.advance import advance, choose_batch
from al_core.loop.measured_anew import seen_by
from al_core.loop.replay import replay
from al_core.progress import finish
from al_core.store.records import Batch
from al_desk.labelling import review

COUNT = 20


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    return tmp_path


def started(home: Path, **changes) -> Desk:
    settings = {"initial": 6, "per_round": 4, "rounds": 3, "train": QUICK, "held_out_share": 0.0}
    desk = Desk(home, **settings | changes)
    for picture in range(COUNT):
        write(desk.folder / f"{picture:02}.png", picture)
    desk.start()
    return desk


def take(desk: Desk, tab: str) -> Batch:
    def choose(now: Experiment, number: int):
        return choose_batch(now, number, desk.source, CPU)

    batch = finish(take_new_batch(desk.store, desk.number, Holder(tab, tab), choose))
    assert batch is not None
    return batch


def label(desk: Desk, batch: Batch) -> None:
    pool = desk.experiment.manifest.pool
    for place, image in enumerate(batch.images):
        desk.say(pool[image].key, place % 2)
    hand_in(desk.store, desk.number, batch)


def trained(home: Path) -> Desk:
    """An experiment whose model of round 0 has chosen a batch, which is ada's."""
    desk = started(home)
    label(desk, take(desk, "ada"))
    finish(advance(desk.store, desk.number, desk.source, CPU))
    take(desk, "ada")
    return desk


def known(desk: Desk) -> list[bool]:
    predictions = load_predictions(desk.experiment.folder, desk.experiment.next_round - 1)
    assert predictions is not None
    return predictions.known_to(desk.experiment).tolist()


def change(desk: Desk, image: int, picture: int) -> None:
    """Another picture under the name of ``image``, which a person calls the same."""
    write(desk.folder / desk.experiment.manifest.pool[image].key, picture)
    desk.look()
    answer_changes(desk.store, desk.number, desk.source, [(True, image)], same=True)


def assert_replayed(desk: Desk) -> None:
    replayed = finish(replay(desk.store, desk.number, desk.source, CPU))
    assert [one.is_exact for one in replayed] == [True] * len(desk.experiment.batches)


def test_a_prediction_speaks_of_the_picture_that_it_was_made_of(home: Path) -> None:
    desk = trained(home)
    rated, moved, changed, gone = desk.experiment.free_images[:4].tolist()
    keys = [row.key for row in desk.experiment.manifest.pool]
    assert known(desk) == [True] * COUNT
    write(desk.folder / keys[rated], rated, rating=5)
    (desk.folder / keys[moved]).rename(desk.folder / "moved.png")
    (desk.folder / keys[gone]).unlink()
    write(desk.folder / "new.png", 100)
    change(desk, changed, 101)
    told = known(desk)
    assert [image for image, yes in enumerate(told) if not yes] == [changed, COUNT]

    change(desk, changed, changed)  # it shows again what it showed
    assert known(desk) == [True] * COUNT + [False]


def test_what_was_away_while_a_model_learned_waits_for_the_next_one(home: Path) -> None:
    """Of what it saw in its place nobody knows: perhaps the pixels were not kept."""
    desk = started(home)
    label(desk, take(desk, "ada"))
    away = int(desk.experiment.free_images[0])
    key = desk.experiment.manifest.pool[away].key
    (desk.folder / key).unlink()
    desk.look()
    finish(advance(desk.store, desk.number, desk.source, CPU))
    write(desk.folder / key, away)
    desk.look()
    assert away in desk.experiment.free_images
    assert known(desk).index(False) == away
    assert away not in take(desk, "ben").images


def test_batches_of_a_round_leave_out_what_its_model_has_not_seen_and_are_replayed(
    home: Path,
) -> None:
    desk = trained(home)
    changed = int(desk.experiment.free_images[0])
    change(desk, changed, 100)
    write(desk.folder / "new.png", 101)
    desk.look()
    free = set(desk.experiment.free_images.tolist())
    assert {changed, COUNT} < free
    asked: set[int] = set()
    for tab in ("ben", "cid", "dan"):
        batch = take(desk, tab)
        assert batch.model == 0
        asked.update(batch.images)
    assert asked == free - {changed, COUNT}
    last = take(desk, "eve")  # nothing else is left: no model is needed to ask about them
    assert ({*last.images}, last.model) == ({changed, COUNT}, None)
    assert_replayed(desk)

    for batch in desk.experiment.open_batches:
        label(desk, batch)
    for picture in range(6):
        write(desk.folder / f"late{picture}.png", 200 + picture)
    desk.look()
    finish(advance(desk.store, desk.number, desk.source, CPU))
    batch = take(desk, "ada")  # of the round whose model has seen them
    assert (batch.model, min(batch.images) > COUNT) == (1, True)
    assert_replayed(desk)


def test_a_batch_chosen_in_advance_is_chosen_again_where_a_picture_has_changed(home: Path) -> None:
    desk = trained(home)
    ahead = finish(choose_batch(desk.experiment, 1, desk.source, CPU))
    assert ahead is not None
    save_ready(desk.experiment.folder, ahead)
    assert take(desk, "ben").images == ahead.images
    ahead = finish(choose_batch(desk.experiment, 1, desk.source, CPU))
    assert ahead is not None
    save_ready(desk.experiment.folder, ahead)
    changed = ahead.images[0]
    change(desk, changed, 100)
    batch = take(desk, "cid")
    assert changed in desk.experiment.free_images
    assert changed not in batch.images


def test_batches_without_a_model_are_chosen_from_all_that_was_there_by_then(home: Path) -> None:
    desk = started(home, start="typiclust")
    take(desk, "ada")
    for picture in range(30):
        write(desk.folder / f"new{picture}.png", 100 + picture)
    desk.look()
    assert max(take(desk, "ben").images) >= COUNT
    assert_replayed(desk)


def test_review_says_nothing_by_the_model_of_a_picture_that_has_changed(home: Path) -> None:
    desk = trained(home)
    labelled = sorted(desk.experiment.pool.answers)
    filters = review.Filters(None, None, None, strongly=False, second_opinion=False)
    before = review._find(desk.experiment, filters, "ada")
    assert sorted(before.guesses) == labelled
    suspicious = before.images[0]
    change(desk, suspicious, 100)
    now = review._find(desk.experiment, filters, "ada")
    assert sorted(now.guesses) == [image for image in labelled if image != suspicious]
    assert now.images == [*before.images[1:], suspicious]  # it is there all the same, last


def test_mistakes_leave_out_test_images_that_have_changed(home: Path) -> None:
    desk = Desk(home, (), initial=4, per_round=2, rounds=1, initial_labels="truth", train=QUICK)
    for number, name in enumerate(("cat", "dog")):
        for picture in range(10):
            write(desk.folder / name / f"{picture}.png", 100 * number + picture)
    desk.start()
    finish(advance(desk.store, desk.number, desk.source, CPU))

    def seen():
        return seen_by(desk.experiment, 0, desk.images).known

    before = seen()
    assert before.images.tolist() == [0, 1, 2, 3]
    write(desk.folder / desk.experiment.manifest.test[1].key, 500)
    desk.look()
    answer_changes(desk.store, desk.number, desk.source, [(False, 1)], same=True)
    left = seen()
    assert left.images.tolist() == [0, 2, 3]
    assert (left.probs == before.probs[[0, 2, 3]]).all()
    assert left.targets.tolist() == desk.images.test.targets[[0, 2, 3]].tolist()
    for picture in range(8):  # others measure as well by now, but not in this round
        write(desk.folder / "cat" / f"new {picture}.png", 600 + picture)
    desk.look()
    draw_from_new(desk.store, desk.number, desk.source)
    assert len(desk.images.test) > 4
    assert seen().images.tolist() == left.images.tolist()


def test_a_map_leaves_out_what_has_no_prediction() -> None:
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    drawn = PoolMap(0, np.array([0, 2, 3, 9]), points)
    kept = drawn.only(np.array([True, True, False, True, True]))
    assert (kept.images.tolist(), kept.points.tolist()) == ([0, 3], [[0, 1], [4, 5]])
