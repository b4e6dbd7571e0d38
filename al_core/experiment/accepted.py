"""What was accepted without a look, and the looks at some of it: a fold over the log.

Labels that were accepted between two looks are one group. The images of a group are looked at in an
order that the experiment's seed draws, so the first of them are an even sample of it. Who takes a
group back after some of it was seen has chosen by what was seen: then all that stands is drawn
anew (see :mod:`al_core.experiment.certificate`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.certificate import Audited, error_left, holds, looks_needed, most_wrong
from al_core.seeds import numpy_generator
from al_core.store.records import TRUTH, Acceptance, Batch

if TYPE_CHECKING:
    from al_core.experiment.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Group:
    """Labels that were accepted by one person between two looks.

    ``order``: the images in the order in which they are looked at, int64 ``[n]``, the first of
    which somebody was ``asked`` about; ``labels`` are what they were accepted as, in that order.
    """

    order: NDArray[np.int64]
    labels: NDArray[np.int64]
    asked: int
    annotator: str

    @property
    def share(self) -> float:
        """How much of it somebody was asked about."""
        return self.asked / len(self.order)


@dataclass(frozen=True)
class Accepted:
    """All that was accepted in an experiment and stands.

    ``labels``: by image, those that count; of images without an answer by a person they are what
    an image is. ``who``: by image, the acceptance. ``opened_again``: how often something was taken
    back after looks at it.
    """

    labels: Mapping[int, int]
    who: Mapping[int, Acceptance]
    groups: tuple[Group, ...]
    opened_again: int

    def due(self, count: int, but_of: str) -> list[int]:
        """The next ``count`` images to look at, each of the group of which the least was seen, but
        for those that somebody of that name accepted."""
        groups = [g for g in self.groups if g.asked < len(g.order) and g.annotator != but_of]
        drawn: list[int] = []
        while groups and len(drawn) < count:
            place = min(range(len(groups)), key=lambda place: groups[place].share)
            group = groups[place]
            drawn.append(int(group.order[group.asked]))
            groups[place] = replace(group, asked=group.asked + 1)
            if group.asked + 1 == len(group.order):
                del groups[place]
        return drawn


NOTHING = Accepted({}, {}, (), 0)
LOOKS = "looks"  # the strategy of a batch of accepted images alone
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
        """How many of these were found wrong, or have no answer yet."""
        return sum(group.wrong for group in self.groups)

    @cached_property
    def most_wrong(self) -> int:
        """How many of all are wrong at most."""
        return most_wrong(self.groups, self.target, self.error)

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
    undone = {act.undoes: place for place, act in enumerate(acts) if act.undoes >= 0}
    audits = [(batch.acceptances, batch.audits) for batch in experiment.batches if batch.audits]
    began, opened_again = 0, 0
    for place, act in enumerate(acts):
        # Looks since it was accepted, up to where it was taken back.
        if act.undoes >= 0 and any(max(began, act.undoes + 1) <= at <= place for at, _ in audits):
            began, opened_again = place + 1, opened_again + 1
    former = {image for at, asked in audits if at < began for image in asked}
    audits = [(at, asked) for at, asked in audits if at >= began]
    labels: dict[int, int] = {}
    who: dict[int, Acceptance] = {}
    groups: dict[tuple[int, str], dict[int, int]] = {}
    for place, act in enumerate(acts):
        label = experiment.classes.counts_as[act.label]
        if act.undoes >= 0 or place in undone or label < 0:
            continue
        images = {*act.images} - experiment.taken_out
        labels |= dict.fromkeys(images, label)
        who |= dict.fromkeys(images, act)
        looks_before = len({at for at, _ in audits if at <= place})
        group = groups.setdefault((looks_before, act.annotator), {})
        # Of those seen before, a person has said what they are.
        group |= dict.fromkeys(sorted(images - former), label)
    asked = {image for _, images in audits for image in images}
    drawn = numpy_generator(experiment.config.seed, "audit", began).random(experiment.pool_size)
    every = [_group(who, of, asked, drawn) for (_, who), of in groups.items() if of]
    return Accepted(labels, who, tuple(every), opened_again)


def _group(
    annotator: str, labels: Mapping[int, int], asked: Collection[int], drawn: NDArray[np.float64]
) -> Group:
    images = np.array([*labels], np.int64)
    order = images[np.argsort(drawn[images])]  # the rest keep theirs where some are taken out
    count = int(np.isin(order, [*asked]).sum())
    return Group(order, np.array([labels[i] for i in order.tolist()], np.int64), count, annotator)


def certificate_of(experiment: Experiment, label: int | None = None) -> Certificate:
    """How right is what was accepted, in all or as one class. All of these statements together are
    wrong with the probability that the settings allow at most."""
    config, now = experiment.config, experiment.accepted
    error = error_left(1 - config.confidence, now.opened_again)
    error *= OF_POOL if label is None else (1 - OF_POOL) / len(experiment.classes.shown)
    answers = experiment.pool.answers
    groups = []
    for group in now.groups:
        mine = group.labels == (group.labels if label is None else label)
        asked = zip(group.order[: group.asked], group.labels[: group.asked], strict=True)
        said = [i in answers and answers[i].label == as_what for i, as_what in asked]
        right = int(np.sum(np.array(said, bool) & mine[: group.asked]))
        groups.append(Audited(int(mine.sum()), right, int(mine[: group.asked].sum()) - right))
    return Certificate(tuple(one for one in groups if one.size), config.target, error)


def looks_due(experiment: Experiment, count: int, annotator: str) -> list[int]:
    """Up to ``count`` accepted images that are to be looked at next; none once the certificate of
    the pool holds."""
    now = experiment.accepted
    if not now.groups or experiment.certificate.holds:
        return []
    others = {a.annotator for a in experiment.annotations} - {TRUTH, annotator}
    return now.due(count, annotator if others else "")


def with_audits(batch: Batch, experiment: Experiment, annotator: str) -> Batch:
    """A batch that nobody has had yet, with some accepted images at random places among the others;
    as it is where no more looks are needed."""
    count = math.ceil(experiment.config.look_share * len(batch.images))
    audits = looks_due(experiment, count, annotator)
    if not audits or batch.audits is not None:
        return batch
    chance = numpy_generator(len(batch.images), "places of audits", *audits)
    rows = _rows(batch)
    for image in audits:
        rows.insert(int(chance.integers(len(rows) + 1)), (image, None, (), None, ()))
    return replace(_with(batch, rows), audits=audits, acceptances=len(experiment.acceptances))


def looks_alone(experiment: Experiment, number: int, annotator: str) -> Batch | None:
    """A batch of round ``number`` of accepted images alone, where no others are left; None where no
    more looks are needed."""
    audits = looks_due(experiment, experiment.batch_size(number), annotator)
    if not audits:
        return None
    batch = Batch(number, LOOKS, audits, None, log_position=experiment.log_position)
    return replace(batch, audits=audits, acceptances=len(experiment.acceptances))


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
