"""One experiment: the log folded into a pool and a phase.

An experiment *is* its log. Opening it, reloading the page, undoing, a crash and a second tab all
come through :func:`open_experiment`; nothing else is remembered anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.config import ExperimentConfig, check_fits_a_page
from al_core.errors import ConfigError, SourceError
from al_core.images import SOURCES, Dataset
from al_core.pool import TRUTH, Annotation, Pool, now, what_stands
from al_core.schema import Batch, Known, RoundRecord
from al_core.store import Store


class Phase(StrEnum):
    """What an experiment waits for."""

    TRAINING = "training"
    LABELLING = "labelling"
    FINISHED = "finished"


@dataclass(frozen=True)
class Experiment:
    """A snapshot of one experiment. Round 0 trains on the initial images; the batch of round k is
    labelled before round k trains."""

    id: int
    name: str
    config: ExperimentConfig
    fingerprint: str
    pool_size: int
    annotations: tuple[Annotation, ...]
    batches: tuple[Batch, ...]
    rounds: tuple[RoundRecord, ...]

    @cached_property
    def pool(self) -> Pool:
        """Who is labelled by now."""
        return Pool.fold(self.pool_size, self.annotations)

    def pool_of(self, number: int) -> Pool:
        """What round ``number`` trains on: labels given for it or before.

        Those of a batch that is labelled meanwhile belong to a later round.
        """
        return Pool.fold(self.pool_size, (a for a in self.annotations if a.round <= number))

    @property
    def known(self) -> Known:
        """What this snapshot has read of the log, for whoever comes back to it by
        :meth:`as_of`."""
        return Known(
            len(self.annotations),
            len(self.batches),
            len(self.rounds),
            [place for place, batch in enumerate(self.batches) if batch.handed_in_at is None],
            self.config.strategy,
            self.config.per_round,
        )

    def as_of(self, known: Known) -> Experiment:
        """The experiment as somebody found it earlier who had read so much of its log."""
        batches = [
            replace(
                batch,
                handed_in_at=None if place in known.open else batch.handed_in_at or now(),
            )
            for place, batch in enumerate(self.batches[: known.batches])
        ]
        return replace(
            self,
            config=replace(self.config, strategy=known.strategy, per_round=known.per_round),
            annotations=self.annotations[: known.annotations],
            batches=tuple(batches),
            rounds=self.rounds[: known.rounds],
        )

    def batch_size(self, number: int) -> int:
        """How many images a batch of round ``number`` asks about, as far as there are any."""
        return self.config.per_round if number else self.config.initial

    @property
    def next_round(self) -> int:
        """The number of the round that trains next."""
        return len(self.rounds)

    @property
    def open_batches(self) -> list[Batch]:
        """The batches that wait to be labelled and handed in, the earliest round first."""
        still_open = (batch for batch in self.batches if batch.handed_in_at is None)
        return sorted(still_open, key=lambda batch: (batch.round, batch.id))

    @property
    def open_batch(self) -> Batch | None:
        """The first of them."""
        return next(iter(self.open_batches), None)

    @property
    def open_images(self) -> set[int]:
        """The images of the open batches: nobody else is to be asked about them."""
        return {image for batch in self.open_batches for image in batch.images}

    @property
    def free_images(self) -> NDArray[np.int64]:
        """The images that a strategy may choose from, ascending, int64 ``[F]``."""
        return np.setdiff1d(self.pool.unlabeled, [*self.open_images, *self.set_aside])

    @cached_property
    def set_aside(self) -> list[int]:
        """The images that no strategy may choose: an even sample of the pool, to measure with."""
        return set_aside(self.config, self.pool_size)

    @cached_property
    def at_random(self) -> frozenset[int]:
        """Those of them that a batch has asked about so far; nothing is ever trained on them."""
        return frozenset(image for batch in self.batches for image in batch.at_random or ())

    def draw_to_measure(self, count: int) -> list[int]:
        """The images to measure with in the next batch of ``count``: its share of them."""
        asked = self.pool.answers.keys() | self.open_images
        waiting = [image for image in self.set_aside if image not in asked]
        drawn = len(self.set_aside) - len(waiting)
        share = self.config.random_share
        due = min(int(share * (len(asked) + count)) - drawn, math.ceil(share * count))
        return waiting[: max(due, 0)]

    @property
    def can_train(self) -> bool:
        """Whether at least two classes have a label to train on."""
        answers = self.pool.answers.values()
        labels = {a.label for a in answers if a.image not in self.at_random}
        return len(labels - {None}) >= 2

    @property
    def label_round(self) -> int:
        """The first round that trains on a label given now, outside of any batch."""
        return self.next_round + (self.phase is Phase.TRAINING)

    def is_closed(self, number: int) -> bool:
        """Whether all that round ``number`` waited for is handed in, or nothing is left to ask."""
        of_round = [batch for batch in self.batches if batch.round == number]
        if of_round:
            return all(batch.handed_in_at for batch in of_round)
        if number == 0:
            return bool(self.annotations)  # labelled by the truth
        return not len(self.free_images) and not self.open_batches

    def is_untouched(self, number: int) -> bool:
        """Whether nothing of round ``number`` was handed in yet."""
        return not any(b.round == number and b.handed_in_at for b in self.batches)

    @property
    def phase(self) -> Phase:
        """What happens next. The last round chooses a batch too, for whoever adds a round.

        Where all images are used up and trained on, the experiment ends before its last round.
        """
        if self.next_round > self.config.rounds:
            return Phase.FINISHED
        if not self.is_closed(self.next_round):
            return Phase.LABELLING
        if not self.rounds or any(batch.round == self.next_round for batch in self.batches):
            return Phase.TRAINING
        more = len(self.pool.labeled) != self.rounds[-1].labeled
        return Phase.TRAINING if more else Phase.FINISHED

    def disagreement(self, number: int) -> tuple[int, int, bool]:
        """Of the labels of round ``number``: how many had a guess of the model before them, how
        many differ from it, and whether any guess was seen before its label was given.

        The first label of an image counts that was not undone: after it, the guess was in sight.
        """
        standing = what_stands(a for a in self.annotations if a.round <= number)
        pairs = [
            (first, top[0][0])
            for batch in self.batches
            if batch.round == number and batch.reasons is not None and batch.reasons.top is not None
            for image, top in zip(batch.images, batch.reasons.top, strict=True)
            if (first := next((a for a in standing.get(image, ()) if a.label is not None), None))
        ]
        disagreed = sum(first.label != guess for first, guess in pairs)
        return len(pairs), disagreed, any(first.guess_shown for first, _ in pairs)


def initial_images(config: ExperimentConfig, pool_size: int) -> NDArray[np.int64]:
    """The positions an experiment starts from, drawn at random by its seed, int64 ``[initial]``."""
    drawn = np.random.default_rng(config.seed).permutation(pool_size)
    if kept := set_aside(config, pool_size):
        drawn = drawn[np.isin(drawn, kept, invert=True)]
    return drawn[: config.initial]


def set_aside(config: ExperimentConfig, pool_size: int) -> list[int]:
    """The positions that no strategy may choose, in the order in which they are asked about.

    They are drawn before anything is known of them, so that whatever is measured on any first part
    of them is measured on an even sample of the pool.
    """
    count = int(config.random_share * pool_size)
    drawn = np.random.default_rng([config.seed, 1]).permutation(pool_size)[:count]
    return drawn.tolist()  # type: ignore[no-any-return]


def start_experiment(store: Store, name: str, config: ExperimentConfig, dataset: Dataset) -> int:
    """Write a new experiment on ``dataset`` to the log and return its id.

    ``config.initial`` images are drawn at random: labelled by the truth at once, or handed to the
    person as the batch of round 0. Where another strategy starts, that batch is chosen later, for
    it takes a while. Classes come from the dataset where it has them. Images are set aside to
    measure with only where the dataset has no test image with a known truth. Raises ConfigError
    where the settings and the images do not fit, or for the name.
    """
    names = dataset.train.class_names or config.class_names
    # Absolute, so that it is found again from another working directory.
    data = config.data if config.data in SOURCES else str(Path(config.data).expanduser().absolute())
    config = replace(config, class_names=names, data=data)
    if (dataset.test.targets >= 0).any():
        config = replace(config, random_share=0.0)
    config.check_against(len(dataset.train), dataset.has_truth)
    by_truth = config.initial_labels == "truth"
    at_once = config.per_round if by_truth else max(config.per_round, config.initial)
    check_fits_a_page(at_once, config.image_size)
    if by_truth and config.start != "random":
        raise ConfigError(
            "A start by a strategy is labelled by you; choose that, or a random start."
        )
    size = len(dataset.train)
    initial = initial_images(config, size).tolist() if by_truth else []
    by_chance = not by_truth and config.start == "random"
    return store.create_experiment(
        name,
        config.to_json(),
        dataset.fingerprint,
        len(dataset.train),
        first_annotations=[
            Annotation(i, int(dataset.train.targets[i]), 0, TRUTH, key=dataset.train.keys[i])
            for i in initial
        ],
        first_batch=first_batch(config, size) if by_chance else None,
    )


def first_batch(config: ExperimentConfig, pool_size: int) -> Batch:
    """The batch that an experiment begins with where it starts at random and is labelled by a
    person."""
    measuring = set_aside(config, pool_size)[: int(config.random_share * config.initial)]
    drawn = initial_images(config, pool_size)[: config.initial - len(measuring)]
    known = Known(0, 0, 0, [], config.strategy, config.per_round)
    images = mix(drawn.tolist(), measuring)
    return Batch(0, "random", images, None, at_random=measuring or None, known=known)


def mix(chosen: Sequence[int], measuring: Sequence[int]) -> list[int]:
    """The ``chosen`` images of a batch in their order, and those to measure with anywhere among
    them, so that nobody labels them otherwise, or last."""
    images = [*chosen]
    rng = np.random.default_rng([*measuring])
    for image in measuring:
        images.insert(int(rng.integers(len(images) + 1)), image)
    return images


def open_experiment(store: Store, name_or_id: str | int, with_reasons: bool = False) -> Experiment:
    """Fold the log of one experiment; raises UnknownExperiment.

    Only ``with_reasons`` do batches that were handed in have theirs, which takes longer.
    """
    record = store.experiment(name_or_id)
    return Experiment(
        record.id,
        record.name,
        ExperimentConfig.from_json(record.config),
        record.fingerprint,
        record.pool_size,
        store.log(record.id),
        tuple(store.batches(record.id, with_reasons)),
        tuple(store.rounds(record.id)),
    )


def check_images(experiment: Experiment, dataset: Dataset) -> None:
    """Raise SourceError where ``dataset`` is not what the experiment was started on."""
    if dataset.fingerprint != experiment.fingerprint:
        raise SourceError(
            f"The images at “{experiment.config.data}” are not the ones that “{experiment.name}” "
            "was started on, so its labels would point at the wrong images; bring the former "
            "images back, or start a new experiment. The labels are safe and can be exported."
        )


def add_rounds(store: Store, experiment: Experiment, more: int) -> None:
    """Let a finished experiment go on for ``more`` rounds; raises ConfigError if it cannot."""
    left = len(experiment.pool.unlabeled)
    if not left or (more - 1) * experiment.config.per_round >= left:
        raise ConfigError("There are not enough unlabelled images left for that many rounds.")
    store.change_config(experiment.id, {"rounds": experiment.next_round - 1 + more})
