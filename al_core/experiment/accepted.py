"""What was accepted without a look, and the looks at some of it: a fold over the log.

Labels that were accepted between two looks are one group. The images of a group are looked at in an
order that the experiment's seed draws, so the first of them are an even sample of it. Who takes
some back after looks, or changes its classes, may have chosen by what was seen: then all that
stands is drawn anew (see :mod:`al_core.experiment.certificate`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.certificate import (
    Audited,
    allowed,
    error_left,
    holds,
    looks_needed,
    most_wrong,
)
from al_core.experiment.pool import without
from al_core.seeds import numpy_generator
from al_core.store.records import TRUTH, Acceptance, Batch, now

if TYPE_CHECKING:
    from al_core.experiment.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that were accepted by one person between two looks.

    ``order``: the images in the order in which they are looked at, int64 ``[n]``; ``labels`` are
    what they were accepted as, and ``asked``, bool ``[n]``, those that somebody was asked about.
    """

    order: NDArray[np.int64]
    labels: NDArray[np.int64]
    asked: NDArray[np.bool_]
    annotator: str


@dataclass(frozen=True)
class Accepted:
    """All that was accepted in an experiment and stands.

    ``labels``: by image, those that count; of images without an answer by a person they are what
    an image is. ``who``: by image, the acceptance. ``waiting`` were to be looked at, and are in no
    open batch any more. ``opened_again``: how often somebody has changed what is accepted by what
    looks had shown.
    """

    labels: Mapping[int, int]
    who: Mapping[int, Acceptance]
    groups: tuple[Group, ...]
    waiting: frozenset[int]
    opened_again: int

    def due(self, count: int, but_of: str, but: Collection[int]) -> list[int]:
        """The next ``count`` images to look at: those left without an answer, then of the group of
        which the least was seen; not those that somebody of that name accepted, nor others."""
        groups = [g for g in self.groups if g.annotator != but_of]
        asked = [i for g in groups for i in g.order[g.asked].tolist()]
        drawn = [i for i in asked if i in self.waiting and i not in but][:count]
        queues = [without(g.order[~g.asked], but)[:count].tolist() for g in groups]
        seen = [int(g.asked.sum()) for g in groups]
        while any(queues) and len(drawn) < count:
            shares = [n / len(g.order) for n, g in zip(seen, groups, strict=True)]
            place = min((p for p, queue in enumerate(queues) if queue), key=shares.__getitem__)
            drawn.append(queues[place].pop(0))
            seen[place] += 1
        return drawn


NOTHING = Accepted({}, {}, (), frozenset(), 0)
LOOKS = "looks"  # the strategy of a batch of accepted images alone
HERE = timedelta(hours=1)  # since the last answer of somebody who is still there
OF_POOL = 0.75  # of the error: for all that was accepted; the classes share the rest


@dataclass(frozen=True)
class Certificate:
    """How many of the labels in ``groups`` are right, a share ``target`` being wanted; see
    :mod:`al_core.experiment.certificate`."""

    groups: tuple[Audited, ...]
    target: float
    error: float

    @property
    def size(self) -> int:
        """How many labels were accepted."""
        return sum(group.size for group in self.groups)

    @property
    def looks(self) -> int:
        """How many of them somebody was asked to look at."""
        return self.size - sum(group.unseen for group in self.groups)

    @property
    def wrong(self) -> int:
        """How many of these were found wrong, or skipped."""
        return sum(group.wrong - group.waiting for group in self.groups)

    @property
    def waiting(self) -> int:
        """How many of these have no answer yet, and count as wrong until they have."""
        return sum(group.waiting for group in self.groups)

    @property
    def most_right(self) -> float:
        """The share that is right at least, rounded down to a tenth of a per cent."""
        return math.floor(1000 * (1 - self.most_wrong / self.size)) / 1000

    @property
    def is_out_of_reach(self) -> bool:
        """Whether more were found wrong than the target allows, so that no look can help."""
        return self.wrong > allowed(self.groups, self.target)

    @cached_property
    def most_wrong(self) -> int:
        """How many of all are wrong at most."""
        return most_wrong(self.groups, self.error)

    @cached_property
    def holds(self) -> bool:
        """Whether as many are right as was wanted."""
        return bool(self.groups) and holds(self.groups, self.target, self.error)

    @cached_property
    def looks_needed(self) -> int | None:
        """How many more looks that takes, as things are; None where it will not come to that."""
        return looks_needed(self.groups, self.target, self.error)


def accepted(experiment: Experiment) -> Accepted:
    """What was accepted in an experiment, as of its log."""
    acts = experiment.acceptances
    if not acts:
        return NOTHING
    draws = sorted((tuple(b.drawn_at), b.audits) for b in experiment.batches
                   if b.audits and b.drawn_at)  # fmt: skip
    began, opened_again = 0, 0
    for before in sorted(_openings(experiment, [at for at, _ in draws])):
        if before > began:
            began, opened_again = before, opened_again + 1
    asked = {image for _, images in draws[began:] for image in images}
    undone = {act.undoes for act in acts}
    counts_as, answers = experiment.classes.counts_as, experiment.pool.answers
    of: dict[int, int] = {}  # the act that counts for an image, by its place
    for place, act in enumerate(acts):
        if act.undoes < 0 and place not in undone and counts_as[act.label] >= 0:
            of |= dict.fromkeys(act.images, place)
    ever_asked = {image for _, images in draws for image in images}
    gone = experiment.away | (experiment.taken_out - ever_asked)
    labels = {i: counts_as[acts[place].label] for i, place in of.items() if i not in gone}
    keys = [(sum(at[0] <= place for at, _ in draws[began:]), act.annotator)
            for place, act in enumerate(acts)]  # fmt: skip
    groups: dict[tuple[int, str], list[int]] = {}
    for image, place in of.items():
        # Of the others a person has said by other ways what they are, or they cannot be seen.
        if image in asked or (image in labels and image not in answers):
            groups.setdefault(keys[place], []).append(image)
    chance = numpy_generator(experiment.config.seed, "audit", began).random(experiment.pool_size)
    every = []
    for (_, who), images in groups.items():
        order = np.array(sorted(images, key=chance.__getitem__), np.int64)
        as_what = np.array([counts_as[acts[of[i]].label] for i in order.tolist()], np.int64)
        every.append(Group(order, as_what, np.isin(order, [*asked]), who))
    waiting = frozenset(asked - answers.keys() - experiment.open_images - experiment.away)
    return Accepted(labels, {i: acts[of[i]] for i in labels}, tuple(every), waiting, opened_again)


def _openings(experiment: Experiment, draws: Sequence[Sequence[int]]) -> Iterator[int]:
    """Where what was accepted was changed by somebody who had seen looks at it: after so many
    ``draws``, each with its place in the log. By taking back, or by classes that count as others
    than before."""
    acts, changes = experiment.acceptances, experiment.class_changes
    for place, act in enumerate(acts):
        if act.undoes >= 0 and any(act.undoes < at[0] <= place for at in draws):
            yield sum(at[0] <= place for at in draws)
    used = {act.label for act in acts}
    before = experiment.classes_after(0).counts_as
    for place in range(len(changes)):
        now = experiment.classes_after(place + 1).counts_as
        if any(label < len(before) and now[label] != before[label] for label in used):
            yield sum(at[1] <= place for at in draws)
        before = now


def certificate_of(experiment: Experiment, label: int | None = None) -> Certificate:
    """How right is what was accepted, in all or as one class. All of these statements together are
    wrong with the probability that the settings allow at most."""
    config, found_so_far = experiment.config, experiment.accepted
    error = error_left(1 - config.confidence, found_so_far.opened_again)
    error *= OF_POOL if label is None else (1 - OF_POOL) / len(experiment.classes.shown)
    answers = experiment.pool.answers
    groups = []
    for group in found_so_far.groups:
        mine = group.labels == (group.labels if label is None else label)
        asked = mine & group.asked
        pairs = zip(group.order[asked].tolist(), group.labels[asked].tolist(), strict=True)
        found = [answers[i].label == as_what if i in answers else None for i, as_what in pairs]
        right, waiting = found.count(True), found.count(None)
        groups.append(Audited(int(mine.sum()), right, len(found) - right, waiting))
    return Certificate(tuple(one for one in groups if one.size), config.target, error)


def looks_due(
    experiment: Experiment, count: int, but_of: str = "", but: Collection[int] = ()
) -> list[int]:
    """Up to ``count`` accepted images that are to be looked at next, not those that somebody of
    that name accepted, nor others; none once the certificate of the pool holds."""
    found = experiment.accepted
    if not found.groups or experiment.certificate.holds:
        return []
    return found.due(count, but_of, {*but} | experiment.open_images)


def with_audits(batch: Batch, experiment: Experiment, annotator: str) -> Batch:
    """A batch that nobody has had yet with some accepted images at random places among the others,
    where more looks are needed; and without those that were accepted since it was chosen."""
    if batch.audits is not None:
        return batch
    free = [row for row in _rows(batch) if row[0] not in experiment.accepted.labels]
    rows = free or _rows(batch)
    count = math.ceil(experiment.config.look_share * len(rows))
    # Whoever is here beside the annotator looks with other eyes.
    since = now() - HERE
    others = {a.annotator for a in experiment.annotations if a.created_at > since} - {TRUTH}
    but_of = annotator if others - {annotator} else ""
    audits = looks_due(experiment, count, but_of, [row[0] for row in rows])
    if not audits:
        return batch if len(rows) == len(batch.images) else _with(batch, rows)
    chance = numpy_generator(len(rows), "places of audits", *audits)
    for image in audits:
        rows.insert(int(chance.integers(len(rows) + 1)), (image, None, (), None, ()))
    return replace(_with(batch, rows), audits=audits, drawn_at=_place(experiment))


def without_own(batch: Batch, experiment: Experiment, annotator: str) -> Batch:
    """A batch that somebody else has had, without looks at what this ``annotator`` accepted: they
    wait for others."""
    mine = {i for i, act in experiment.accepted.who.items() if act.annotator == annotator}
    mine = mine.intersection(batch.audits or ()) - experiment.pool.answers.keys()
    rows = [row for row in _rows(batch) if row[0] not in mine]
    return _with(batch, rows) if mine and rows else batch


def looks_alone(experiment: Experiment, number: int) -> Batch | None:
    """A batch of round ``number`` of accepted images alone, where no others are left; None where no
    more looks are needed. Whoever asks has them: nobody else may come."""
    audits = looks_due(experiment, experiment.batch_size(number))
    if not audits:
        return None
    batch = Batch(number, LOOKS, audits, None, log_position=experiment.log_position)
    return replace(batch, audits=audits, drawn_at=_place(experiment))


def _place(experiment: Experiment) -> tuple[int, int]:
    return len(experiment.acceptances), len(experiment.class_changes)


def without_audits(batch: Batch) -> Batch:
    """A batch as it was chosen."""
    if batch.audits is None:
        return batch
    return _with(batch, [row for row in _rows(batch) if row[0] not in batch.audits])


Row = tuple[int, float | None, Any, int | None, Any]  # image, score, and reasons


def _rows(batch: Batch) -> list[Row]:
    """What a batch says of each of its images."""
    of = batch.reasons
    nothing: list[Any] = [None] * len(batch.images)
    columns = (batch.images, batch.scores, of and of.top, of and of.rank, of and of.nearest)
    return list(zip(*(one or nothing for one in columns), strict=True))


def _with(batch: Batch, rows: list[Row]) -> Batch:
    """A batch of these ``rows``, where it says anything of its images."""
    images, scores, top, rank, nearest = map(list, zip(*rows, strict=True))
    of = batch.reasons
    return replace(
        batch,
        images=images,
        scores=batch.scores and scores,
        reasons=of and replace(of, top=of.top and top, rank=of.rank and rank, nearest=nearest),
    )
