"""Who gets which batch, when a lease ends, and when a round is closed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from al_core.config import ExperimentConfig
from al_core.experiment import leases
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.leases import (
    Holder,
    close_round,
    hand_in,
    held_by_others,
    take_new_batch,
    take_open_batch,
)
from al_core.experiment.presence import Presence
from al_core.progress import Work, finish
from al_core.store.records import TRUTH, Annotation, Batch, FirstRows, RoundRecord
from al_core.store.store import Store

CONFIG = ExperimentConfig(initial=2, per_round=3, rounds=3, class_names=("a", "b"))
HERE: set[str] = set()


def is_gone(holder: str) -> bool:
    return holder not in HERE


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    HERE.clear()
    HERE.update({"ada", "ben"})
    opened = Store(database)
    yield opened
    opened.close()


def started(store: Store, trained: int = 1, **changes) -> int:
    """An experiment of 40 images, two of them labelled, after that many rounds."""
    first = [Annotation(0, 0, 0, TRUTH), Annotation(1, 1, 0, TRUTH)]
    config = replace(CONFIG, **changes).to_json()
    experiment = store.create_experiment("mine", config, "f00d", 40, FirstRows(first))
    for number in range(trained):
        store.add_round(experiment, record(number), None)
    return experiment


def record(number: int) -> RoundRecord:
    return RoundRecord(number, 2, None, [], 0, 0, 0, 0, 0)


def lowest_first(experiment: Experiment, number: int) -> Work[Batch]:
    """Stands in for a strategy: the first images that are left."""
    yield from ()
    left = set(experiment.pool.unlabeled.tolist()) - experiment.open_images
    return Batch(number, "random", sorted(left)[:3], None, model=len(experiment.rounds) - 1)


def take(store: Store, experiment: int, holder: str, name: str = "me") -> Batch | None:
    return finish(take_new_batch(store, experiment, Holder(holder, name), lowest_first, is_gone))


def answer(store: Store, experiment: int, batch: Batch, count: int = 3) -> None:
    said = [Annotation(i, 0, batch.round, "x") for i in batch.images[:count]]
    store.append(experiment, said, renewed=(batch, leases.lapses_at()))


def test_two_tabs_never_hold_the_same_image(store: Store) -> None:
    experiment = started(store)
    ada, ben = take(store, experiment, "ada"), take(store, experiment, "ben")
    assert (ada.round, ben.round) == (1, 1)
    assert not set(ada.images) & set(ben.images)
    assert take(store, experiment, "ada").id == ada.id


def test_whoever_hands_in_last_closes_the_round(store: Store) -> None:
    experiment = started(store)
    ada, ben = take(store, experiment, "ada"), take(store, experiment, "ben")
    for batch, phase in ((ada, Phase.LABELLING), (ben, Phase.TRAINING)):
        answer(store, experiment, batch)
        hand_in(store, experiment, batch, is_gone)
        assert open_experiment(store, experiment).phase is phase


def test_a_tab_that_is_gone_leaves_its_batch_to_the_next(store: Store) -> None:
    experiment = started(store)
    ada = take(store, experiment, "ada")
    answer(store, experiment, ada, 1)
    HERE.remove("ada")
    assert take(store, experiment, "ben").id == ada.id


def test_a_silent_tab_loses_its_batch_after_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = started(store)
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=-1))
    ada = take(store, experiment, "ada")
    monkeypatch.undo()
    ben = take_open_batch(store, open_experiment(store, experiment), Holder("ben", "me"), is_gone)
    assert ben.id == ada.id
    answer(store, experiment, ada)  # still kept, but it does not take the batch back
    now = store.batch(ada.id)
    assert (now.holder, now.leased_until) == ("ben", ben.leased_until)


def test_a_round_does_not_wait_for_a_batch_that_a_closed_tab_never_touched(store: Store) -> None:
    experiment = started(store)
    ada, ben = take(store, experiment, "ada"), take(store, experiment, "ben")
    HERE.remove("ben")
    answer(store, experiment, ada)
    hand_in(store, experiment, ada, is_gone)
    after = open_experiment(store, experiment)
    assert after.phase is Phase.TRAINING
    assert set(ben.images) <= set(after.pool.unlabeled.tolist())


def test_a_tab_that_is_reloaded_after_a_first_label_finds_its_batch_again(store: Store) -> None:
    experiment = started(store)
    ada, ben = take(store, experiment, "ada"), take(store, experiment, "ben")
    answer(store, experiment, ben, 1)
    HERE.remove("ben")
    answer(store, experiment, ada)
    hand_in(store, experiment, ada, is_gone)
    assert open_experiment(store, experiment).phase is Phase.LABELLING
    HERE.add("ben again")
    assert take(store, experiment, "ben again").id == ben.id


def test_a_lapsed_batch_is_closed_with_the_labels_it_has(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = started(store)
    ada, ben = take(store, experiment, "ada"), take(store, experiment, "ben")
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=-1))
    answer(store, experiment, ben, 2)
    answer(store, experiment, ada)
    hand_in(store, experiment, ada, is_gone)
    after = open_experiment(store, experiment)
    assert after.phase is Phase.TRAINING
    assert len(after.pool.labeled) == 2 + 3 + 2


def test_the_round_of_a_single_tab_stays_open_until_it_hands_in(store: Store) -> None:
    experiment = started(store)
    ada = take(store, experiment, "ada")
    answer(store, experiment, ada, 1)
    HERE.clear()
    close_round(store, experiment, 1, is_gone)
    assert open_experiment(store, experiment).open_batch.id == ada.id


def test_the_next_batch_is_handed_out_while_a_round_trains(store: Store) -> None:
    experiment = started(store)
    for number in (1, 2, 3):
        batch = take(store, experiment, "ada")
        assert (batch.round, batch.model) == (number, 0)
        answer(store, experiment, batch)
        hand_in(store, experiment, batch, is_gone)
    assert take(store, experiment, "ada") is None  # three rounds were asked for
    assert open_experiment(store, experiment).next_round == 1


def test_a_setting_makes_people_wait_for_the_training(store: Store) -> None:
    experiment = started(store, label_while_training=False)
    batch = take(store, experiment, "ada")
    answer(store, experiment, batch)
    hand_in(store, experiment, batch, is_gone)
    assert take(store, experiment, "ada") is None
    store.add_round(experiment, record(1), None)
    assert take(store, experiment, "ada").round == 2


def test_before_there_is_a_model_people_wait_for_it(store: Store) -> None:
    assert take(store, started(store, trained=0), "ada") is None


def test_labels_of_a_batch_ahead_are_not_trained_on_before_their_round(store: Store) -> None:
    experiment = started(store)
    for _ in range(2):
        batch = take(store, experiment, "ada")
        answer(store, experiment, batch)
        hand_in(store, experiment, batch, is_gone)
    after = open_experiment(store, experiment)
    assert [len(after.pool_of(number).labeled) for number in (0, 1, 2)] == [2, 5, 8]


def test_after_a_restart_everybody_finds_their_own_batch_again(store: Store) -> None:
    experiment = started(store)
    ada, ben = take(store, experiment, "ada", "Ada"), take(store, experiment, "ben", "Ben")
    HERE.clear()
    HERE.update({"new 1", "new 2"})
    assert take(store, experiment, "new 1", "Ben").id == ben.id
    assert take(store, experiment, "new 2", "Ada").id == ada.id


def test_when_all_images_are_used_up_the_last_training_is_run_and_that_is_the_end(
    store: Store,
) -> None:
    experiment = started(store, per_round=38, rounds=9)
    everything = list(range(2, 40))
    store.add_batch(experiment, Batch(1, "random", everything, None), 0)
    batch = take(store, experiment, "ada")
    answer(store, experiment, batch, 38)
    hand_in(store, experiment, batch, is_gone)
    assert open_experiment(store, experiment).phase is Phase.TRAINING
    assert take(store, experiment, "ada") is None
    store.add_round(experiment, replace(record(1), labeled=40), None)
    assert open_experiment(store, experiment).phase is Phase.FINISHED
    assert take(store, experiment, "ada") is None


def test_it_can_be_said_who_still_labels(store: Store) -> None:
    experiment = started(store)
    ada, ben = take(store, experiment, "ada"), take(store, experiment, "ben")
    opened = open_experiment(store, experiment)
    assert [b.id for b in held_by_others(opened, 1, "ada", is_gone)] == [ben.id]
    assert [b.id for b in held_by_others(opened, 1, "ben", is_gone)] == [ada.id]


def test_a_server_that_has_ended_is_known_to_be_gone(store: Store, tmp_path: Path) -> None:
    one, other = Presence(store), Presence(store)
    assert not one.is_gone(one.server)
    assert not one.is_gone(other.server)
    other._lock.release()  # as the operating system does when the process ends
    assert one.is_gone(other.server)
