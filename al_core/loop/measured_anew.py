"""Rounds measured by the classes as they are now, from predictions that were kept for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.classes import ASIDE, KEY, Classes, in_words, standing
from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import load_measured
from al_core.images.dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the model of a round says of the M images that measured it, by the classes of now:
    their positions ``images`` int64 [M], ``on`` "test" or "random" as in
    :class:`al_core.experiment.predictions.MeasuredPredictions`, ``probs`` float [M,C], and their
    ``targets`` int64 [M], -1 where none is known, or where the picture has changed since."""

    on: str
    images: NDArray[np.int64]
    targets: NDArray[np.int64]
    probs: NDArray[np.floating]

    @property
    def known(self) -> Seen:
        """Those of them whose target is known."""
        there = self.targets >= 0
        return Seen(self.on, self.images[there], self.targets[there], self.probs[there])


def seen_by(experiment: Experiment, number: int, dataset: Dataset | None) -> Seen | None:
    """What the model of round ``number`` says of the images that measured it; None where that was
    not kept. Of test images, only a ``dataset`` knows the classes."""
    kept = load_measured(experiment.folder, number)
    if kept is None or (kept.on == "test" and dataset is None):
        return None
    if kept.on == "test" and dataset is not None:
        truth = dataset.test.targets
    else:
        pool = experiment.pool.without(experiment.in_question)
        truth = np.full(experiment.pool_size, -1, np.int64)
        truth[pool.labeled] = pool.labels
    if len(kept.images) and kept.images.max() >= len(truth):
        return None  # of other images than these
    targets = truth[kept.images].copy()
    position, manifest = experiment.rounds[number].log_position, experiment.manifest
    if position is not None and manifest is not None:
        changed = manifest.otherwise_since(position.images, pool=kept.on != "test")
        targets[np.isin(kept.images, [*changed])] = -1
    return Seen(kept.on, kept.images, targets, experiment.classes.probabilities(kept.probs))


def measured_anew(experiment: Experiment, dataset: Dataset | None) -> Experiment:
    """``experiment``, with each of its rounds measured by the classes as they are now, and by all
    test images that were embedded since. One that cannot be, as its predictions were not kept or
    the images are not there yet, has no metrics."""
    rounds = []
    for record in experiment.rounds:
        position = record.log_position
        then = experiment.classes_after(position.classes if position else 0)
        changed = record.metrics and _counts(then) != _counts(experiment.classes)
        early = position is not None and position.embedded is not None and dataset is not None
        if changed or early:
            seen = seen_by(experiment, record.round, dataset)
            about = (experiment.folder, record.round, experiment.classes)
            otherwise = None if changed else record.metrics
            metrics = _metrics(*about, seen.targets.tobytes()) if seen else otherwise
            record = replace(record, metrics=metrics)
        rounds.append(record)
    return replace(experiment, rounds=tuple(rounds))


def _counts(classes: Classes) -> object:
    return classes.counts_as, classes.parts, classes.truths


@lru_cache(1000)
def _metrics(folder: Path, number: int, classes: Classes, targets: bytes) -> dict[str, Any] | None:
    from al_core.loop.round import measure

    kept = load_measured(folder, number)
    if kept is None:
        return None
    words = None if kept.words is None else classes.probabilities(kept.words)
    now = replace(kept, probs=classes.probabilities(kept.probs), words=words)
    return measure(now, np.frombuffer(targets, np.int64))


def where_classes_changed(experiment: Experiment) -> list[tuple[int, str]]:
    """The rounds that are the first with other classes than before, each with what had changed in
    words; changes that were undone are left out."""
    stands, found, seen = standing(experiment.class_changes), [], 0
    for record in experiment.rounds:
        position = record.log_position
        upto = position.classes if position else 0
        told = [
            in_words(change, experiment.classes)
            for change, there in zip(
                experiment.class_changes[seen:upto], stands[seen:upto], strict=True
            )
            if there and change.kind not in (*ASIDE, KEY)
        ]
        if told:
            found.append((record.round, "; ".join(told)))
        seen = max(seen, upto)
    return found
