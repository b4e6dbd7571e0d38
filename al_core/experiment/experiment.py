"""One experiment: the log folded into a pool and a phase.

An experiment *is* its log. Opening it, a page reload, an undo, a crash and a second tab all go
through :func:`open_experiment`; no state is kept anywhere else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.experiment.accepted import Accepted, Certificate, accepted, certificate_of, looks_due
from al_core.experiment.classes import OPEN, Classes, fold
from al_core.experiment.manifest import Manifest, manifest_of
from al_core.experiment.pool import Pool, taken_out, without
from al_core.experiment.start import reserved_images
from al_core.store.records import (
    Acceptance,
    Annotation,
    Batch,
    ClassChange,
    LogPosition,
    RoundRecord,
    now,
)

if TYPE_CHECKING:
    from al_core.store.store import Store


SO_FAR = -1  # as many images as happen to have embeddings


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
    folder: Path = Path()  # of its files
    # None where images cannot change, or before it is written.
    manifest: Manifest | None = field(default=None, compare=False)
    began_with: int | None = None  # images of the pool; None: as many as now
    class_changes: tuple[ClassChange, ...] = ()
    first_classes: tuple[str, ...] = ()  # the names it began with; none: as now
    # How many images have embeddings, in the order in which they are embedded; None: all.
    embedded: int | None = None
    acceptances: tuple[Acceptance, ...] = ()

    @cached_property
    def accepted(self) -> Accepted:
        """What was accepted without a look."""
        return accepted(self)

    @cached_property
    def taken_out(self) -> frozenset[int]:
        """The images that are not to be accepted without a look: somebody has looked."""
        return taken_out(self.annotations)

    @cached_property
    def certificate(self) -> Certificate:
        """How right that is, all of it together."""
        return certificate_of(self)

    @cached_property
    def classes(self) -> Classes:
        """The classes as they are now; ``config.class_names`` are their names, by number."""
        return self.classes_after(len(self.class_changes))

    def classes_after(self, changes: int) -> Classes:
        """The classes as they were after so many changes."""
        return fold(self.first_classes or self.config.class_names, self.class_changes[:changes])

    @cached_property
    def answers(self) -> tuple[Annotation, ...]:
        """The annotations, each with the label that it counts as."""
        if self.classes.as_at_first:
            return self.annotations
        return self.classes.mapped(self.annotations)

    @cached_property
    def asked_again(self) -> frozenset[int]:
        """The images whose label is of no class any more, as it was split; until they have another,
        they are open."""
        if self.classes.as_at_first:
            return frozenset()
        opened = {one for one, label in enumerate(self.classes.counts_as) if label == OPEN}
        written = Pool.fold(self.pool_size, self.annotations).answers.values()
        return frozenset(a.image for a in written if a.label in opened)

    @cached_property
    def pool(self) -> Pool:
        """Which images are labelled, as of this snapshot."""
        return Pool.fold(self.pool_size, self.answers)

    def pool_of(self, number: int) -> Pool:
        """The pool that round ``number`` trains on: the labels given for it or an earlier round,
        but for those of images that show another picture by now.

        A batch that is labelled during its training belongs to a later round.
        """
        pool = Pool.fold(self.pool_size, (a for a in self.answers if a.round <= number))
        return pool.without(self.in_question)

    def names_of(self, answer: Annotation) -> list[str]:
        """What the image of an answer is called now: by its files, of which it has more than one
        where it was copied."""
        if self.manifest is None:
            return [answer.key]
        row = self.manifest.pool[answer.image]
        return [row.key or answer.key, *row.other_names]

    @property
    def in_question(self) -> frozenset[int]:
        """The images whose files show another picture than they did, until somebody has said
        whether it is the same one."""
        return self.manifest.in_question if self.manifest else frozenset()

    @property
    def away(self) -> frozenset[int]:
        """Those, and the images that are not there any more."""
        return self.manifest.away if self.manifest else frozenset()

    @property
    def drawn_later(self) -> list[int]:
        """The images that were drawn to measure the model since the experiment was started."""
        return self.manifest.drawn if self.manifest else []

    @property
    def log_position(self) -> LogPosition:
        """How much of the log this snapshot has read; :meth:`as_of` restores it."""
        return LogPosition(
            len(self.annotations),
            len(self.batches),
            len(self.rounds),
            [place for place, batch in enumerate(self.batches) if batch.handed_in_at is None],
            self.config.recorded,
            len(self.manifest.rows) if self.manifest else 0,
            len(self.class_changes),
            None if self.embedded == SO_FAR else self.embedded,
            len(self.acceptances),
        )

    def as_of(self, position: LogPosition) -> Experiment:
        """The experiment as it was when the log had been read up to ``position``."""
        batches = [
            replace(
                batch,
                handed_in_at=None if place in position.open else batch.handed_in_at or now(),
            )
            for place, batch in enumerate(self.batches[: position.batches])
        ]
        manifest = self.manifest and self.manifest.first(position.images)
        names = self.classes_after(position.classes).names
        return replace(
            self,
            pool_size=len(manifest.pool) if manifest else self.pool_size,
            manifest=manifest,
            class_changes=self.class_changes[: position.classes],
            config=replace(self.config.as_recorded(position.settings), class_names=names),
            annotations=self.annotations[: position.annotations],
            batches=tuple(batches),
            rounds=self.rounds[: position.rounds],
            embedded=position.embedded,
            acceptances=self.acceptances[: position.acceptances],
        )

    def batch_size(self, number: int) -> int:
        """How many images a batch of round ``number`` asks about, if enough are left."""
        return self.config.per_round if number else self.config.initial

    @property
    def next_round(self) -> int:
        """The number of the next round to train."""
        return len(self.rounds)

    @property
    def open_batches(self) -> list[Batch]:
        """The batches not yet handed in, the earliest round first."""
        still_open = (batch for batch in self.batches if batch.handed_in_at is None)
        return sorted(still_open, key=lambda batch: (batch.round, batch.id))

    @property
    def open_batch(self) -> Batch | None:
        """The first of them."""
        return next(iter(self.open_batches), None)

    @property
    def open_images(self) -> set[int]:
        """The images of the open batches; they must not be asked about elsewhere."""
        return {image for batch in self.open_batches for image in batch.images}

    @cached_property
    def left(self) -> NDArray[np.int64]:
        """The images without an answer that somebody is or will be asked about, ascending, int64
        ``[U]``: those that are there, but for those that became test images, or were accepted."""
        tested = () if self.config.held_out_share else self.drawn_later
        return without(self.pool.unlabeled, [*self.away, *tested, *self.accepted.labels])

    @cached_property
    def free_images(self) -> NDArray[np.int64]:
        """The images that a strategy may choose from, ascending, int64 ``[F]``."""
        return without(self.left, [*self.open_images, *self.reserved])

    @cached_property
    def reserved(self) -> list[int]:
        """The images that only measure the model, in the order in which batches ask about them; no
        strategy may choose them."""
        began_with = self.pool_size if self.began_with is None else self.began_with
        first = reserved_images(self.config, began_with)
        return first + self.drawn_later if self.config.held_out_share else first

    @cached_property
    def held_out(self) -> frozenset[int]:
        """The reserved images that a batch has asked about so far, and those drawn later; never
        trained on."""
        asked = {image for batch in self.batches for image in batch.held_out or ()}
        return frozenset(asked.union(self.drawn_later))

    @property
    def trained_on(self) -> Pool:
        """The pool with the labels that a training may learn from."""
        return self.pool.without(self.held_out | self.in_question)

    def held_out_due(self, count: int) -> list[int]:
        """The reserved images that are due in the next batch of ``count``."""
        asked = self.pool.answers.keys() | self.open_images
        drawn = sum(image in asked for image in self.reserved)
        waiting = [i for i in self.reserved if i not in asked and i not in self.away]
        share = self.config.held_out_share
        due = min(int(share * (len(asked) + count)) - drawn, math.ceil(share * count))
        return waiting[: max(due, 0)]

    @property
    def can_train(self) -> bool:
        """Whether at least two classes have labels to train on."""
        return len({a.label for a in self.trained_on.answers.values()} - {None}) >= 2

    @property
    def label_round(self) -> int:
        """The first round that trains on a label given now, outside any batch."""
        return self.next_round + (self.phase is Phase.TRAINING)

    def is_closed(self, number: int) -> bool:
        """Whether all batches of round ``number`` are handed in, or nothing is left to ask."""
        of_round = [batch for batch in self.batches if batch.round == number]
        if of_round:
            return all(batch.handed_in_at for batch in of_round)
        if number == 0:
            return bool(self.annotations)  # labelled by the truth
        return not (len(self.free_images) or self.open_batches or looks_due(self, 1))

    def is_untouched(self, number: int) -> bool:
        """Whether nothing of round ``number`` has been handed in yet."""
        return not any(b.round == number and b.handed_in_at for b in self.batches)

    @property
    def phase(self) -> Phase:
        """What happens next. The last round chooses a batch too, in case rounds are added.

        Once all images are used up and trained on, the experiment ends before its last round.
        """
        if self.next_round > self.config.rounds:
            return Phase.FINISHED
        if not self.is_closed(self.next_round):
            return Phase.LABELLING
        if not self.rounds or any(batch.round == self.next_round for batch in self.batches):
            return Phase.TRAINING
        more = len(self.pool.without(self.in_question).labeled) != self.rounds[-1].labeled
        return Phase.TRAINING if more else Phase.FINISHED


def open_experiment(store: Store, name_or_id: str | int, with_reasons: bool = False) -> Experiment:
    """Fold the log of one experiment; raises UnknownExperiment.

    Batches that were handed in have their reasons only ``with_reasons``, which takes longer.
    """
    record = store.experiment(name_or_id)
    manifest = manifest_of(store.images(record.id))
    changes = store.class_changes(record.id)
    config = ExperimentConfig.from_json(record.config)
    names = fold(config.class_names, changes).names
    return Experiment(
        record.id,
        record.name,
        replace(config, class_names=names),
        record.fingerprint,
        len(manifest.pool) if manifest else record.pool_size,
        store.log(record.id),
        tuple(store.batches(record.id, with_reasons)),
        tuple(store.rounds(record.id)),
        store.folder(record.id),
        manifest,
        record.pool_size,
        changes,
        config.class_names,
        acceptances=store.acceptances(record.id),
    )
