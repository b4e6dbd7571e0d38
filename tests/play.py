"""Two people at one experiment, who do by chance all that can be done while a network learns."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
from squares import CPU

from al_core.errors import ConfigError
from al_core.experiment.class_acts import (
    add,
    change_classes,
    merge,
    redo,
    rename,
    reorder,
    retire,
    split,
)
from al_core.experiment.class_acts import undo as undo_classes
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.leases import Holder, close_round, hand_in, lapses_at, take_new_batch
from al_core.experiment.settings import change_settings
from al_core.experiment.undo import undo
from al_core.images.dataset import Dataset
from al_core.loop.advance import advance, choose_batch, refit
from al_core.models.hardware import Hardware
from al_core.names import LENGTH
from al_core.progress import finish
from al_core.store.records import Annotation, Batch
from al_core.store.store import Store

TABS = ("ada", "ben")


class Play:
    """Acts drawn by a seed. A round trains between them, a few reports at a time."""

    def __init__(
        self,
        store: Store,
        dataset: Dataset,
        experiment: int,
        seed: int,
        strategies: tuple[str, ...],
        hardware: Hardware = CPU,
    ) -> None:
        self.store, self.dataset, self.id, self.hardware = store, dataset, experiment, hardware
        print(f"a play of seed {seed}")  # shown where it fails
        self.rng, self.strategies = np.random.default_rng(seed), strategies
        self.training = None
        self.seen: list[Experiment] = []  # snapshots, as somebody found the experiment

    def go_on(self, acts: int) -> Experiment:
        """So many acts; the experiment after them."""
        everything = (
            [self.label] * 6 + [self.finish_batch] * 5 + [self.train] * 8 + [self.relabel] * 2
            + [self.take_back, self.withdraw, self.refit]
            + [self.change_settings, self.change_classes] * 2
        )  # fmt: skip
        for _ in range(acts):
            self.any_of(everything)()
            if self.now.phase is Phase.FINISHED:
                break
        return self.now

    def any_of(self, things):
        return things[int(self.rng.integers(len(things)))]

    @property
    def now(self) -> Experiment:
        return open_experiment(self.store, self.id)

    def say(self, image: int, number: int, who: str) -> None:
        label = int(self.dataset.train.targets[image]) if self.rng.random() < 0.9 else None
        classes = self.now.classes
        if label is not None and classes.counts_as[label] < 0:  # it was split, or is not used
            label = self.any_of(classes.shown)
        self.store.append(self.id, [Annotation(image, label, number, who)])

    def batch_for(self, tab: str) -> Batch | None:
        def choose(experiment: Experiment, number: int):
            return choose_batch(experiment, number, self.dataset, self.hardware)

        return finish(take_new_batch(self.store, self.id, Holder(tab, tab), choose))

    def label(self, share: float = 0.5) -> Batch | None:
        self.seen.append(self.now)
        tab = self.any_of(TABS)
        batch = self.batch_for(tab)
        answers = self.now.pool.answers
        for image in batch.images if batch else ():
            if image not in answers and self.rng.random() < share:
                self.say(image, batch.round, tab)
        return batch

    def finish_batch(self) -> None:
        batch = self.label(share=1)
        if batch is not None:
            hand_in(self.store, self.id, batch)

    def train(self) -> None:
        """Some steps of the round that waits, and perhaps all."""
        if self.training is None and self.now.phase is Phase.TRAINING:
            self.training = advance(self.store, self.id, self.dataset, self.hardware)
        steps = int(self.rng.integers(1, 30))
        for _ in range(steps if self.training is not None else 0):
            if next(self.training, None) is None:
                self.training = None
                break

    def relabel(self) -> None:
        """A second thought, also one that comes late: its page was drawn before a round ended."""
        now = self.now
        if answers := list(now.pool.answers.values()):
            said = self.any_of(answers)
            number = now.label_round - int(self.rng.integers(2))
            self.store.append(self.id, [
                replace(said, label=int(self.rng.integers(3)), round=max(number, 0), undoes=False)
            ])  # fmt: skip

    def take_back(self) -> None:
        """Undo across batches: one that was handed in is opened again, and its training stops."""
        tab, now = self.any_of(TABS), self.now
        row = undo(now.annotations, tab, {image for b in now.batches for image in b.images})
        if row is None:
            return
        self.store.append(self.id, [row])
        source = next(b for b in reversed(now.batches) if row.image in b.images)
        if source.handed_in_at is not None:
            self.store.reopen(source.id, tab, tab, lapses_at())
            if source.round == now.next_round:
                self.training = None

    def withdraw(self) -> None:
        """Both tabs are closed: what nobody touched is withdrawn where something was handed in."""
        close_round(self.store, self.id, self.now.next_round, lambda _: True)

    def change_settings(self) -> None:
        """The strategy, and with it how the next round trains."""
        place, now = int(self.rng.integers(len(self.strategies))), self.now
        train = replace(now.config.train, learning_rate=0.005 + 0.001 * place, flip=place % 2 == 0)
        wanted = replace(now.config, strategy=self.strategies[place], train=train)
        change_settings(self.store, now, wanted)

    def change_classes(self) -> None:
        """One class more or less, or a change undone; what cannot be is left."""
        now = self.now.classes
        names = [*now.named.values()]
        one, other = self.any_of(names), self.any_of(names)
        new = [f"{one} {len(now.names) + i}"[-LENGTH:] for i in range(2)]
        act = self.any_of([
            add(new[:1]), rename(one, new[0]), merge([one], other), split(one, new), retire(one),
            undo_classes(), redo(), reorder(names[::-1]),
        ])  # fmt: skip
        with suppress(ConfigError):
            change_classes(self.store, self.id, self.any_of(TABS), act)

    def refit(self) -> None:
        finish(refit(self.store, self.id, self.dataset, self.hardware))
