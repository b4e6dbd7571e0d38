"""The batch that follows from a model's predictions and the log, and whether it still fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.experiment import Experiment
from al_core.experiment.leases import draw_random_batch
from al_core.experiment.pool import without
from al_core.experiment.predictions import BEFORE, PoolPredictions
from al_core.experiment.start import mixed_batch
from al_core.loop.query import Choice, choose, explained
from al_core.models.hardware import Hardware
from al_core.store.records import Batch

ENOUGH = 5  # times as many images as are asked for, for the first batch to be chosen by a strategy


def still_holds(batch: Batch, experiment: Experiment) -> bool:
    """Whether a batch chosen in advance still fits what would be asked for now."""
    config = experiment.config
    position = batch.log_position
    measuring = experiment.held_out_due(config.per_round)
    chosen = [image for image in batch.images if image not in measuring]
    if position is None:
        return False
    manifest = experiment.manifest
    other = manifest.otherwise_since(position.images) if manifest else frozenset()
    return (
        other.isdisjoint(batch.images)
        and position.settings == config.recorded
        and position.classes == len(experiment.class_changes)
        and list(batch.held_out or ()) == measuring
        and len(batch.images) == config.per_round
        and bool(np.isin(chosen, experiment.free_images).all())
    )


def choose_by(
    predictions: PoolPredictions, experiment: Experiment, number: int, hardware: Hardware
) -> Batch | None:
    """A batch of round ``number`` by a model's predictions, at the log position of ``experiment``;
    None where no images are left.

    Images that came since, those whose pictures have changed, and those without embeddings yet have
    no predictions, and wait for the next model; where no others are left, or before the first model
    too few to choose from, some are drawn at random. A batch by class names alone is sorted by
    what they say.
    """
    experiment = replace(experiment, embedded=predictions.embedded)
    config, predicted = experiment.config, predictions.known_to(experiment)
    predictions = predictions.by_classes_of(experiment)
    all_free = experiment.free_images
    free = all_free[predicted[all_free]]
    count = experiment.batch_size(number)
    early = predictions.model == BEFORE and predictions.embedded is not None
    if len(all_free) and len(free) < (ENOUGH * count if early else 1):
        return draw_random_batch(experiment, number)
    strategy = config.start if predictions.model == BEFORE else config.strategy
    measuring = [image for image in experiment.held_out_due(count) if predicted[image]]
    choice = Choice(strategy, count - len(measuring), len(experiment.batches), config.seed)
    known = experiment.trained_on.without(np.flatnonzero(~predicted).tolist())
    again = _asked_again(experiment, predictions, free)[: choice.n]
    choice, free = replace(choice, n=choice.n - len(again)), without(free, again)
    picks, score = choose(choice, predictions, known, free, hardware.device)
    chosen = [*again.tolist(), *picks.tolist()]
    batch = mixed_batch(number, strategy, chosen, measuring, experiment.log_position)
    if batch is not None and predictions.by_words:
        batch = replace(batch, images=_by_guess(batch.images, predictions, experiment))
    return batch and explained(batch, predictions, free, known.labeled, score)


def _by_guess(
    images: Sequence[int], predictions: PoolPredictions, experiment: Experiment
) -> list[int]:
    """Those of a kind side by side, the surest first: they can be answered at once."""
    probs = predictions.probs[[*images]]
    guess, shown = probs.argmax(1), experiment.classes.shown
    place = {one: place for place, one in enumerate(shown)}
    order = np.lexsort((-probs.max(1), [place.get(one, len(shown)) for one in guess.tolist()]))
    return [images[one] for one in order.tolist()]


def _asked_again(
    experiment: Experiment, predictions: PoolPredictions, free: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Those of the ``free`` images whose class was split, the most doubtful first: of which the
    model finds its best guess least likely."""
    again = free[np.isin(free, [*experiment.asked_again])]
    best = predictions.probs[again].max(1, initial=0)
    return again[np.argsort(best, kind="stable")]
