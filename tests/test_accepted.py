"""Classes accepted for many images at once, and the looks that say how right that is."""

import csv
from collections import Counter
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from squares import CPU, QUICK, squares, train

from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.exchange.labels import export_labels, read_labels
from al_core.experiment.accept import accept, take_back_last
from al_core.experiment.accepted import LOOKS
from al_core.experiment.certificate import Audited
from al_core.experiment.class_acts import change_classes, merge, split
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.leases import Holder, hand_in, take_new_batch, take_open_batch
from al_core.experiment.settings import add_rounds
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.loop.advance import choose_batch
from al_core.loop.replay import replay
from al_core.progress import finish
from al_core.store.records import Acceptance, Annotation, Batch
from al_core.store.store import Store

SIZE = 400
SETTINGS = ExperimentConfig(
    data="squares", initial=10, per_round=10, rounds=2, train=QUICK, held_out_share=0.0,
    random_baseline=False, look_share=2.0, target=0.9,
)  # fmt: skip


class Desk:
    """Four hundred squares, of which a model has learned ten."""

    def __init__(self, home: Path, **changes) -> None:
        self.store = Store(f"sqlite:///{home / 'al.db'}")
        self.dataset = Dataset("squares", squares(SIZE), squares(30, SIZE), "f00d", ())
        self.truth = self.dataset.train.targets
        config = replace(SETTINGS, **changes)
        self.number = start_experiment(self.store, "squares", config, self.dataset)
        train(self.store, self.dataset, self.number)

    @property
    def now(self) -> Experiment:
        return open_experiment(self.store, self.number, with_reasons=True)

    def accept(self, label: int, images, who: str = "ada", event: str | None = None) -> int:
        images = [*map(int, images)]
        keys = [self.dataset.train.keys[image] for image in images]
        wanted = Acceptance(images, label, 0, 0.9, who, event=event, keys=keys)
        return accept(self.store, self.number, wanted)

    def accept_all(self, wrong: int = 0, who: str = "ada") -> None:
        """All that is free, as what it is, but for so many."""
        free = self.now.free_images
        for label in range(3):
            of = free[self.truth[free] == label]
            mistaken = free[self.truth[free] == (label + 1) % 3][: wrong if label == 0 else 0]
            self.accept(label, np.union1d(of, mistaken), who)

    def take(self, who: str = "ada") -> Batch | None:
        def choose(now: Experiment, number: int):
            return choose_batch(now, number, self.dataset, CPU)

        return finish(take_new_batch(self.store, self.number, Holder(who, who), choose))

    def answer(self, batch: Batch, who: str = "ada", skip: frozenset[int] = frozenset()) -> None:
        said = [(i, None if i in skip else int(self.truth[i])) for i in batch.images]
        self.store.append(self.number, [Annotation(i, a, batch.round, who) for i, a in said])
        hand_in(self.store, self.number, batch)

    def round(self, who: str = "ada", skip: frozenset[int] = frozenset()) -> Batch:
        """A batch, answered as the truth has it, and its training; more rounds where all are
        done."""
        if self.now.phase is Phase.FINISHED:
            add_rounds(self.store, self.now, 1)
        batch = self.take(who)
        assert batch is not None
        self.answer(batch, who, skip)
        train(self.store, self.dataset, self.number)
        return batch


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    return Desk(tmp_path)


def test_a_pool_is_finished_with_a_certificate(desk: Desk) -> None:
    free = desk.now.free_images
    desk.accept(0, free[desk.truth[free] == 0][:-5])
    assert not {*desk.now.free_images} & {*desk.now.accepted.labels}
    assert len(desk.now.trained_on.labeled) == 10  # nobody learns from what nobody has seen
    batch = desk.round()
    audits = {*batch.audits}
    assert len(audits) == 20
    assert audits < desk.now.accepted.labels.keys()
    assert len({*batch.images} - audits) == 10
    assert [*batch.images][:10] != [i for i in batch.images if i not in audits]  # mixed in
    shown = dict(zip(batch.images, batch.reasons.top, strict=True))
    assert all(bool(top) == (image not in audits) for image, top in shown.items())
    assert desk.now.certificate.looks == 20
    assert desk.now.certificate.wrong == 0

    desk.accept_all(wrong=4)
    asked = Counter(batch.images)
    while not desk.now.certificate.holds:
        asked.update(desk.round().images)
    assert max(asked.values()) == 1
    assert desk.now.batches[-1].strategy == LOOKS  # nothing else was left
    found = desk.now.certificate
    right = sum(desk.truth[i] == label for i, label in desk.now.accepted.labels.items())
    assert len(desk.now.accepted.labels) - right == 4 <= found.most_wrong <= 0.1 * found.size
    assert desk.take() is None  # all is done
    replayed = finish(replay(desk.store, desk.number, desk.dataset, CPU))
    assert all(one.in_order for one in replayed)

    table = StringIO()
    assert export_labels(desk.now, table) == SIZE
    rows = list(csv.DictReader(StringIO(table.getvalue())))
    by_people = len(desk.now.pool.labeled)
    assert Counter(row["strategy"] == "accepted" for row in rows) == {
        True: SIZE - by_people,
        False: by_people,
    }
    names = desk.dataset.train.class_names
    wrong = [row for row in rows if row["class_name"] != names[desk.truth[int(row["image"])]]]
    assert len(wrong) == 4 - found.wrong


def test_what_is_skipped_counts_as_wrong_until_somebody_says_what_it_is(desk: Desk) -> None:
    desk.round()  # whose images were chosen already
    desk.accept_all()
    desk.answer(desk.now.open_batch)
    train(desk.store, desk.dataset, desk.number)
    add_rounds(desk.store, desk.now, 3)
    first = desk.take()
    assert first.strategy == LOOKS
    hard = first.images[0]
    desk.answer(first, skip=frozenset([hard]))
    train(desk.store, desk.dataset, desk.number)
    assert (desk.now.certificate.looks, desk.now.certificate.wrong) == (10, 1)
    given = Annotation(hard, int(desk.truth[hard]), 2, "ada")
    desk.store.append(desk.number, [given])
    assert desk.now.certificate.wrong == 0
    desk.take()  # handed out, and nobody has answered
    found = desk.now.certificate
    assert (found.looks, found.wrong, found.waiting) == (20, 0, 10)
    assert found.most_wrong > replace(found, groups=(Audited(found.size, 20),)).most_wrong
    assert found.looks_needed is not None  # those that wait say nothing of how it will be


def test_looks_that_nobody_answered_are_asked_again_first(desk: Desk) -> None:
    desk.accept_all()
    desk.answer(desk.take())
    train(desk.store, desk.dataset, desk.number)
    add_rounds(desk.store, desk.now, 3)
    lost = desk.take("ada")
    desk.store.hand_in(lost.id)  # as where its tab is gone
    assert desk.now.certificate.waiting == len(lost.audits) == 10
    train(desk.store, desk.dataset, desk.number)
    again = desk.take("ben")
    assert {*again.audits} == {*lost.audits}
    desk.answer(again, "ben")
    assert (desk.now.certificate.waiting, desk.now.certificate.wrong) == (0, 0)


def test_what_a_person_has_said_by_other_ways_is_no_look(desk: Desk) -> None:
    desk.accept_all(wrong=30)
    table = StringIO()
    export_labels(desk.now, table)
    keys = desk.dataset.train.keys
    rows = list(csv.DictReader(StringIO(table.getvalue())))
    assert all(row["key"] == keys[int(row["image"])] for row in rows)
    read = read_labels(table.getvalue().encode(), desk.dataset, desk.now.classes.numbers)
    assert len(read.labels) == len(desk.now.pool.answers)  # what was accepted is nobody's answer
    said = [*desk.now.accepted.labels.items()][:50]
    desk.store.append(desk.number, [Annotation(i, label, 1, "ada") for i, label in said])
    batch = desk.round()
    assert not {*batch.audits} & {image for image, _ in said}
    assert desk.now.certificate.size == 380 - 50
    assert desk.now.certificate.looks == len(batch.audits)


def test_a_batch_of_images_that_were_accepted_meanwhile_loses_them(desk: Desk) -> None:
    waiting = desk.now.open_batches[0]
    kept, *gone = waiting.images
    act = Acceptance(gone, 0, 0, 0.9, "eve")  # as in the moment in which the batch was written
    assert desk.store.add_acceptance(desk.number, act, 0)
    batch = desk.take()
    assert [*batch.images] == [kept]


def test_what_is_taken_back_is_open_and_a_choice_by_looks_begins_anew(desk: Desk) -> None:
    desk.accept_all()
    assert take_back_last(desk.store, desk.number, "eve").endswith("accepted as “blue” taken back.")
    assert desk.now.accepted.opened_again == 0  # nobody has seen any
    assert {*desk.truth[desk.now.free_images]} == {2}
    batch = desk.round()
    before = desk.now.certificate
    assert before.looks == len(batch.audits) > 0
    take_back_last(desk.store, desk.number, "eve")
    after = desk.now.certificate
    assert desk.now.accepted.opened_again == 1
    assert after.looks == 0
    assert after.error < before.error / 2
    left = {*desk.now.accepted.groups[0].order.tolist()}
    assert not {*batch.images} & left  # a person has said what these are
    take_back_last(desk.store, desk.number, "eve")
    with pytest.raises(ConfigError, match="Nothing was accepted"):
        take_back_last(desk.store, desk.number, "eve")


def test_whoever_accepted_is_not_asked_where_there_is_somebody_else(desk: Desk) -> None:
    of_red = np.flatnonzero(desk.truth == 0)
    desk.accept(0, of_red, "ada")
    assert desk.take("ada").audits  # nobody else was here
    desk.answer(desk.now.open_batch, "ada")
    train(desk.store, desk.dataset, desk.number)
    batch = desk.take("eve")
    assert batch.audits
    desk.answer(batch, "eve")
    train(desk.store, desk.dataset, desk.number)
    add_rounds(desk.store, desk.now, 2)
    assert desk.take("ada").audits is None


def test_a_batch_that_comes_to_whoever_accepted_leaves_the_looks_to_others(desk: Desk) -> None:
    desk.accept(0, np.flatnonzero(desk.truth == 0), "ada")
    looks = desk.take("eve")
    assert looks.audits
    # Eve's tab is gone.
    taken = take_open_batch(desk.store, desk.now, Holder("ada", "ada"), lambda tab: tab == "eve")
    assert {*taken.images} == {*looks.images} - {*looks.audits}
    assert desk.now.accepted.waiting == {*looks.audits}
    assert desk.now.certificate.waiting == len(looks.audits)


def test_accepted_classes_follow_the_classes(desk: Desk) -> None:
    desk.accept_all()
    change_classes(desk.store, desk.number, "ada", merge(["red"], "green"))
    assert {*desk.now.accepted.labels.values()} == {1, 2}
    batch = desk.take()
    desk.answer(batch)
    assert desk.now.certificate.wrong == 0
    looks = desk.now.certificate.looks
    assert looks == len(batch.audits)
    assert desk.now.accepted.opened_again == 0  # the merge came before any look
    change_classes(desk.store, desk.number, "ada", split("blue", ["navy", "sky"]))
    assert desk.now.accepted.opened_again == 1
    assert desk.now.certificate.looks == 0
    assert {*desk.now.accepted.labels.values()} == {1}
    assert {*desk.truth[desk.now.free_images]} == {2}


def test_an_act_is_done_once_and_only_for_what_is_free(desk: Desk) -> None:
    labelled = desk.now.pool.labeled
    free = desk.now.free_images[:5]
    assert desk.accept(1, [*labelled, *free], event="a") == 5
    assert desk.accept(1, desk.now.free_images, event="a") == 0  # it has come twice
    with pytest.raises(ConfigError, match="Nothing is left"):
        desk.accept(1, [*labelled, *free])
    with pytest.raises(ConfigError, match="not given any more"):
        desk.accept(7, desk.now.free_images)
    batch = desk.take()
    with pytest.raises(ConfigError, match="Nothing is left"):
        desk.accept(1, [i for i in batch.images if i not in free])
