"""The log and the pool against a model of them small enough to be right: whatever people do, in
whatever order, through whichever server, nothing that was said is lost or counted twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from class_model import OPEN, SKIPPED, ClassModel, an_act
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.exchange.labels import import_labels, read_labels
from al_core.experiment.accept import accept, take_back_last
from al_core.experiment.class_acts import change_classes
from al_core.experiment.experiment import open_experiment
from al_core.experiment.leases import (
    Holder,
    draw_random_batch,
    hand_in,
    take_new_batch,
    take_open_batch,
)
from al_core.experiment.start import start_experiment
from al_core.experiment.undo import undo
from al_core.images.dataset import Dataset, ImageSet
from al_core.progress import Work, finish
from al_core.store.records import Acceptance, Annotation, Batch, RoundRecord
from al_core.store.store import Store
from tests.postgres import Postgres

SIZE = 24
PEOPLE = st.sampled_from(["ada", "ben"])
LABELS = st.sampled_from([0, 1, None, "clear"])


def a_dataset() -> Dataset:
    targets = np.arange(SIZE) % 2
    images = np.zeros((SIZE, 3, 8, 8), dtype=np.uint8)
    keys = [f"{i}.png" for i in range(SIZE)]
    train = ImageSet(images, targets, ("cat", "dog"), keys)
    test = ImageSet(images[:4], targets[:4], ("cat", "dog"), [f"test/{i}" for i in range(4)])
    return Dataset("pets", train, test, "f00d", ())


class Desk(RuleBasedStateMachine):
    """Two people at two servers, each with a store of its own on the same database."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.url = address

    @initialize(seed=st.integers(0, 9))
    def start(self, seed: int) -> None:
        self.stores = {"ada": Store(self.url), "ben": Store(self.url)}
        config = ExperimentConfig(
            data="pets", initial=4, initial_labels="person", per_round=4, rounds=4, seed=seed
        )
        self.number = start_experiment(self.stores["ada"], "pets", config, a_dataset())
        self.turn = False
        self.classes = ClassModel(2)
        self.said: list[Annotation] = []  # every row, in order
        # What stands of each image, the last word last: who, and what.
        self.words: dict[int, list[tuple[str, int | str | None]]] = {}
        self.acts: dict[str, list[int]] = {"ada": [], "ben": []}  # images, the latest last

    def teardown(self) -> None:
        for store in self.stores.values():
            store.close()

    def write(self, who: str, row: Annotation) -> None:
        row = replace(row, event=f"event:{len(self.said)}", key=f"{row.image}.png")
        self.stores[who].append(self.number, [row])
        self.said.append(row)

    @rule(who=PEOPLE, image=st.integers(0, SIZE - 1), label=LABELS)
    def say(self, who: str, image: int, label: int | str | None) -> None:
        is_clear = label == "clear"
        given = None if is_clear or isinstance(label, str) else label
        self.write(who, Annotation(image, given, 0, who, cleared=is_clear))
        self.words.setdefault(image, []).append((who, label))
        self.acts[who].append(image)

    @rule(who=PEOPLE)
    def take_back(self, who: str) -> None:
        row = undo(open_experiment(self.stores[who], self.number).annotations, who, range(SIZE))
        if not self.acts[who]:
            assert row is None
            return
        assert row is not None
        assert row.image == self.acts[who].pop()
        self.write(who, row)
        of_image = self.words[row.image]
        mine = max(i for i, (annotator, _) in enumerate(of_image) if annotator == who)
        del of_image[mine]

    @rule(who=PEOPLE, data=st.data())
    def send_again(self, who: str, data: st.DataObject) -> None:
        """A browser that was not answered sends what it has sent before."""
        if self.said:
            first = data.draw(st.integers(0, len(self.said) - 1))
            self.stores[who].append(self.number, [row for row in self.said[first:] if row.event])

    @rule(who=PEOPLE, data=st.data())
    def change_a_class(self, who: str, data: st.DataObject) -> None:
        classes = open_experiment(self.stores[who], self.number).classes
        kind, make = an_act(classes, data)
        with suppress(ConfigError):
            change_classes(self.stores[who], self.number, who, make)
            self.classes.take(kind, self.stores[who].class_changes(self.number)[-1])

    @rule(who=PEOPLE, image=st.integers(0, SIZE - 1), data=st.data())
    def bring_in(self, who: str, image: int, data: st.DataObject) -> None:
        """A table of labels, which names a class as it is called now."""
        experiment = open_experiment(self.stores[who], self.number)
        named = experiment.classes.named
        label = data.draw(st.sampled_from([*named]))
        rows = f"key,class_name\n{image}.png,{named[label]}\n".encode()
        table = read_labels(rows, a_dataset(), experiment.classes.numbers)
        before = experiment.pool.answers.get(image)
        new = import_labels(self.stores[who], experiment, table, a_dataset(), who)
        assert new == (before is None or before.label != label)
        if new:
            self.said.append(self.stores[who].log(self.number)[-1])
            self.words.setdefault(image, []).append((who, label))
            self.acts[who].append(image)

    @rule(who=PEOPLE)
    def restart(self, who: str) -> None:
        self.stores[who].close()
        self.stores[who] = Store(self.url)

    @rule(who=PEOPLE)
    def take_a_batch(self, who: str) -> None:
        def choose(experiment: object, number: int) -> Work[Batch | None]:
            yield from ()
            return draw_random_batch(experiment, number)

        finish(take_new_batch(
            self.stores[who], self.number, Holder(who, who), choose
        ))  # fmt: skip

    @rule(who=PEOPLE)
    def finish_a_batch(self, who: str) -> None:
        """All of it, and hand it in: else few would be, and no round would train."""
        experiment = open_experiment(self.stores[who], self.number)
        batch = take_open_batch(self.stores[who], experiment, Holder(who, who))
        shown = experiment.classes.shown
        for image in batch.images if batch else ():
            self.say(who, image, shown[image % len(shown)])
        self.hand_a_batch_in(who)

    @rule(who=PEOPLE, data=st.data())
    def accept_some(self, who: str, data: st.DataObject) -> None:
        experiment = open_experiment(self.stores[who], self.number)
        images = data.draw(st.sets(st.integers(0, SIZE - 1), min_size=1))
        label = data.draw(st.sampled_from(experiment.classes.shown))
        free = {*experiment.free_images.tolist()} & images
        wanted = Acceptance(sorted(images), label, 0, 0.5, who)
        with suppress(ConfigError):  # where none of them is free
            assert accept(self.stores[who], self.number, wanted) == len(free)
        after = open_experiment(self.stores[who], self.number).accepted
        assert all(after.labels[image] == label for image in free)

    @rule(who=PEOPLE)
    def take_back_what_was_accepted(self, who: str) -> None:
        with suppress(ConfigError):  # where there is none
            take_back_last(self.stores[who], self.number, who)

    @rule(who=PEOPLE)
    def hand_a_batch_in(self, who: str) -> None:
        experiment = open_experiment(self.stores[who], self.number)
        batch = take_open_batch(self.stores[who], experiment, Holder(who, who))
        if batch is None:
            return
        if self.answers().keys() >= set(batch.images):
            with suppress(ConfigError):  # of one class alone, and no images are left
                hand_in(self.stores[who], self.number, batch)
        else:
            with pytest.raises(ConfigError, match="Neither labelled nor skipped"):
                hand_in(self.stores[who], self.number, batch)

    @rule(who=PEOPLE)
    def train(self, who: str) -> None:
        experiment = open_experiment(self.stores[who], self.number)
        if experiment.phase == "training" and experiment.next_round <= experiment.config.rounds:
            number = experiment.next_round
            record = RoundRecord(number, len(experiment.pool.labeled), None, [], 0, 0, 0, 0, 0)
            batch = draw_random_batch(experiment, number + 1)
            self.stores[who].add_round(self.number, record, batch, len(experiment.batches))

    def answers(self) -> dict[int, int | str | None]:
        last = {image: words[-1][1] for image, words in self.words.items() if words}
        now = {
            image: self.classes.counts_as(label) if isinstance(label, int) else label
            for image, label in last.items()
        }
        return {
            image: None if label == SKIPPED else label
            for image, label in now.items()
            if label not in ("clear", OPEN)
        }

    @invariant()
    def all_that_was_said_stands_in_the_log_once_and_the_pool_is_what_it_says(self) -> None:
        self.turn = not self.turn
        experiment = open_experiment(self.stores["ada" if self.turn else "ben"], self.number)
        assert list(experiment.annotations) == self.said
        pool, answers = experiment.pool, self.answers()
        assert {i: a.label for i, a in pool.answers.items()} == answers
        assert set(pool.unlabeled.tolist()) == set(range(SIZE)) - answers.keys()
        labelled = {image: label for image, label in answers.items() if label is not None}
        assert dict(zip(pool.labeled.tolist(), pool.labels.tolist(), strict=True)) == labelled
        asked = [image for batch in experiment.open_batches for image in batch.images]
        assert len(asked) == len(set(asked)), "an image is asked of two at once"
        accepted = experiment.accepted
        assert not accepted.labels.keys() & {*experiment.free_images.tolist()}
        grouped = [i for group in accepted.groups for i in group.order.tolist()]
        assert len(grouped) == len(set(grouped)), "an image is counted twice"
        open_to_looks = accepted.labels.keys() - experiment.pool.answers.keys()
        assert open_to_looks <= {*grouped}, "no look would ever be at it"


def test_whatever_two_people_do_on_a_file(tmp_path: Path) -> None:
    played = itertools.count()
    play(lambda: f"sqlite:///{tmp_path / str(next(played))}.db")


def test_whatever_two_people_do_on_postgresql(postgres: Postgres) -> None:
    play(postgres.database)


def play(new_database: Callable[[], str]) -> None:
    chosen = settings(max_examples=15, stateful_step_count=25)
    run_state_machine_as_test(lambda: Desk(new_database()), settings=chosen)
