"""One round: train on the labels so far, evaluate on the test set, score every image."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from al_core import seeds
from al_core.experiment.predictions import PoolPredictions
from al_core.loop.learners import RoundTask, Trained, train_head, train_network
from al_core.models.hardware import Hardware
from al_core.models.metrics import evaluate
from al_core.models.network import Network
from al_core.progress import Work
from al_core.store.records import RoundRecord


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The result of a round: its record, the network (None for a head on embeddings), the
    ``predictions`` for every training image (None without scoring), and the probabilities for the
    test images whose truth is known, ``[M,C]`` (None if there are none)."""

    record: RoundRecord
    network: Network | None
    predictions: PoolPredictions | None
    test_probs: NDArray[np.float32] | None


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

    test_probs = None
    to_test = np.flatnonzero(dataset.test.targets >= 0)
    if len(to_test):
        test = yield from model.predict_test(to_test)
        test_probs = test.probs.numpy()
    evaluated = time.perf_counter()

    predictions = None
    if task.scoring:
        whole = yield from model.predict_pool()
        embeddings = whole.embeddings.numpy() if task.features is None else task.features.train
        predictions = PoolPredictions(number, whole.probs.numpy(), embeddings)
    scored = time.perf_counter()

    metrics = _measure(task, test_probs, predictions)
    if metrics and config.train.class_weights != "off":
        metrics["power"] = model.power
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
    return Outcome(record, model.network, predictions, test_probs)


def _measure(
    task: RoundTask, test_probs: NDArray[np.float32] | None, predictions: PoolPredictions | None
) -> dict[str, Any] | None:
    """The model's metrics on the test set, else on the labelled held-out images; None without
    either."""
    if test_probs is not None:
        targets = task.dataset.test.targets
        targets = targets[targets >= 0]
        return asdict(evaluate(torch.from_numpy(test_probs), torch.from_numpy(targets))) | {
            "on": "test"
        }
    pool = task.pool
    drawn = np.isin(pool.labeled, list(task.held_out))
    if predictions is None or not drawn.any():
        return None
    probs = torch.from_numpy(predictions.probs[pool.labeled[drawn]])
    return asdict(evaluate(probs, torch.from_numpy(pool.labels[drawn]))) | {"on": "random"}
