"""One round: train on the labels so far, evaluate on the test set, score every image."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_core import seeds
from al_core.experiment.predictions import MeasuredPredictions, PoolPredictions
from al_core.images.near_copies import copies_among
from al_core.loop.learners import RoundTask, Trained, train_head, train_network
from al_core.models.hardware import Hardware
from al_core.models.metrics import evaluate
from al_core.models.network import Network
from al_core.progress import Work
from al_core.store.records import RoundRecord


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The result of a round: its record, the network (None for a head on embeddings), the
    ``predictions`` for every training image (None without scoring), and those for the images that
    measure it (None if there are none)."""

    record: RoundRecord
    network: Network | None
    predictions: PoolPredictions | None
    measured: MeasuredPredictions | None


def run_round(task: RoundTask, hardware: Hardware) -> Work[Outcome]:
    """Train, evaluate and score, from fresh weights and the round's own random numbers.

    The same task on the same machine gives the same outcome, whatever ran before.
    """
    config, number, pool, dataset = task.config, task.number, task.pool, task.dataset
    training = seeds.generator(config.seed, "round", number, "training")
    started = time.perf_counter()
    model: Trained
    if task.features is None:
        model = yield from train_network(task, hardware, training)
    else:
        model = yield from train_head(task, hardware, training)
    trained = time.perf_counter()

    measured = None
    if len(task.to_test) and (dataset.test.targets >= 0).any():
        # All that can be: somebody may say later what those without a known class are.
        to_test = task.to_test
        test = yield from model.predict_test(to_test)
        measured = MeasuredPredictions(
            "test", to_test, test.probs.numpy(), task.by_words(to_test, of_test=True)
        )
    evaluated = time.perf_counter()

    predictions = None
    if task.scoring:
        whole = yield from model.predict_pool()
        embeddings = whole.embeddings.numpy() if task.features is None else task.features.train
        predictions = PoolPredictions(number, whole.probs.numpy(), embeddings)
    scored = time.perf_counter()

    if measured is None and predictions is not None:
        measured = _held_out(task, predictions)
    metrics = measure(measured, _targets(task, measured)) if measured else None
    if metrics and config.train.class_weights != "off":
        metrics["power"] = model.power
    if metrics and model.mixed is not None:
        metrics["mixed"] = model.mixed
    record = RoundRecord(
        round=number,
        labeled=len(pool.labeled),
        metrics=metrics,
        history=model.history,
        train_seconds=trained - started,
        evaluate_seconds=evaluated - trained,
        score_seconds=scored - evaluated,
        select_seconds=0,
        images_scored=len(pool.unlabeled) if task.scoring else 0,
        temperature=model.temperature,
        calibrated_by=model.calibrated_by,
        computed_on=str(hardware),
    )
    return Outcome(record, model.network, predictions, measured)


def measure(measured: MeasuredPredictions, targets: NDArray[np.int64]) -> dict[str, Any] | None:
    """The metrics of predictions, by the ``targets`` int64 [M] of their images; those of -1 are not
    known, and measure nothing. None where none are known. As "words" they have those of what class
    names alone say, where something does."""
    known = targets >= 0
    if not known.any():
        return None

    def metrics(probs: NDArray[np.floating]) -> dict[str, Any]:
        said = torch.from_numpy(probs[known].astype(np.float32))
        return asdict(evaluate(said, torch.from_numpy(targets[known])))

    words = {} if measured.words is None else {"words": metrics(measured.words)}
    return metrics(measured.probs) | {"on": measured.on} | words


def _held_out(task: RoundTask, predictions: PoolPredictions) -> MeasuredPredictions | None:
    """What is said of the labelled held-out images; None without any."""
    pool, held_out = task.pool, set(task.held_out)
    if not task.config.copies_measure:
        held_out -= copies_among(task.dataset, held_out, task.known.labeled.tolist())
    images = pool.labeled[np.isin(pool.labeled, list(held_out))]
    if not len(images):
        return None
    return MeasuredPredictions("random", images, predictions.probs[images], task.by_words(images))


def _targets(task: RoundTask, measured: MeasuredPredictions) -> NDArray[np.int64]:
    if measured.on == "test":
        return task.dataset.test.targets[measured.images]
    return task.pool.labels[np.searchsorted(task.pool.labeled, measured.images)]
