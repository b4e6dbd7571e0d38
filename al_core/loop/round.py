"""One round: train on the labels so far, evaluate on the test set, score every image."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.config import ExperimentConfig
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import PoolPredictions
from al_core.features.read import Features
from al_core.images.dataset import Dataset
from al_core.loop.scoring import score_images
from al_core.models import network as networks
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, on_device
from al_core.models.linear_heads import fit_head
from al_core.models.metrics import evaluate
from al_core.models.network import Network
from al_core.models.prediction import Predictions, predict
from al_core.models.training import fit
from al_core.models.weights import pretrained_weights
from al_core.progress import Progress, Work
from al_core.seeds import generator
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


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """A trained model: ``test`` predicts some test images; ``score`` predicts all training images,
    given the unlabelled ones and how many of them will be chosen. ``history`` is that of its
    training; ``temperature``, the best one to divide its logits by."""

    network: Network | None
    history: list[list[float]]
    temperature: float
    test: Callable[[NDArray[np.int64]], Work[Predictions]]
    score: Callable[[NDArray[np.int64], int], Work[Predictions]]


@dataclass(frozen=True, slots=True, eq=False)
class RoundTask:
    """The input of round ``number`` of an experiment: settings, the labels of the ``pool``, images.

    With ``features``, a linear head on them is trained in place of a network. The held-out images
    ``held_out`` are never trained on, and measure the model where there is no test set. Without
    ``scoring``, the pool is not predicted. A ranking strategy chooses the images that fp32 would,
    even after others have taken the ``ahead`` best ones.

    A head's temperature comes from cross-validation. A network has seen all labels, so its
    ``temperature`` comes from the network of the round before, which had not seen this round's.
    """

    config: ExperimentConfig
    number: int
    pool: Pool
    dataset: Dataset
    features: Features | None = None
    held_out: Collection[int] = ()
    temperature: float = 1.0
    scoring: bool = True
    ahead: int = 0

    @property
    def known(self) -> Pool:
        """The pool with the labels to train on."""
        return self.pool.without(self.held_out)


def run_round(task: RoundTask, hardware: Hardware) -> Work[Outcome]:
    """Train, evaluate and score, from fresh weights and the round's own random numbers.

    The same task on the same machine gives the same outcome, whatever ran before.
    """
    config, number, pool, dataset = task.config, task.number, task.pool, task.dataset
    training = generator(config.seed, "round", number, "training")
    started = time.perf_counter()
    model = yield from (_fine_tune if task.features is None else _fit_head)(
        task, hardware, training
    )
    trained = time.perf_counter()

    test_probs = None
    to_test = np.flatnonzero(dataset.test.targets >= 0)
    if len(to_test):
        test = yield from model.test(to_test)
        test_probs = test.probs.numpy()
    evaluated = time.perf_counter()

    predictions = None
    if task.scoring:
        whole = yield from model.score(pool.unlabeled, config.per_round + task.ahead)
        embeddings = whole.embeddings.numpy() if task.features is None else task.features.train
        predictions = PoolPredictions(number, whole.probs.numpy(), embeddings, model.temperature)
    scored = time.perf_counter()

    record = RoundRecord(
        round=number,
        labeled=len(pool.labeled),
        metrics=_measure(task, test_probs, predictions),
        history=model.history,
        train_seconds=trained - started,
        evaluate_seconds=evaluated - trained,
        score_seconds=scored - evaluated,
        select_seconds=0,
        images_scored=len(pool.unlabeled) if task.scoring else 0,
        temperature=model.temperature,
        computed_on=str(hardware),
    )
    return Outcome(record, model.network, predictions, test_probs)


def _fine_tune(task: RoundTask, hardware: Hardware, generator: torch.Generator) -> Work[_Model]:
    """A network, trained from fresh or pretrained weights."""
    config, known, dataset = task.config, task.known, task.dataset
    images = on_device(dataset.train.images, hardware)
    pretrained = yield from pretrained_weights(config.model.weights, dataset.fingerprint)
    net = networks.build(
        len(config.class_names),
        config.model.stem,
        hardware,
        dataset.train.images,
        generator,
        pretrained,
    )
    x = torch.as_tensor(images[known.labeled]).to(hardware.device)
    y = torch.from_numpy(known.labels).to(hardware.device)
    history = []
    for report in fit(net, x, y, config.train, hardware, generator):
        if report.ends_epoch:
            history.append([report.epoch, report.loss, report.accuracy])
        yield report

    def test(wanted: NDArray[np.int64]) -> Work[Predictions]:
        fast = InferenceNetwork(net, hardware)
        return predict(
            fast, on_device(dataset.test.images, hardware), wanted, hardware, "Evaluating"
        )

    def score(unlabeled: NDArray[np.int64], n: int) -> Work[Predictions]:
        return score_images(net, images, config.strategy, unlabeled, n, hardware)

    return _Model(net, history, task.temperature, test, score)


def _fit_head(task: RoundTask, hardware: Hardware, generator: torch.Generator) -> Work[_Model]:
    """A linear head, its penalty chosen by cross-validation on the labels."""
    config, known, features = task.config, task.known, task.features
    assert features is not None
    yield Progress("Training", 0, 0, "", 0)
    x, y = _rows(features.train, known.labeled), torch.from_numpy(known.labels)
    x, y = x.to(hardware.device), y.to(hardware.device)
    head, validation = fit_head(x, y, len(config.class_names), generator)

    def predicted(embeddings: Tensor, phase: str) -> Work[Predictions]:
        yield Progress(phase, 0, 0, "", 0)
        logits = head.logits(embeddings.to(hardware.device))[0]
        return Predictions(logits.softmax(1).cpu(), embeddings)

    def test(wanted: NDArray[np.int64]) -> Work[Predictions]:
        return predicted(_rows(features.test, wanted), "Evaluating")

    def score(unlabeled: NDArray[np.int64], n: int) -> Work[Predictions]:
        return predicted(torch.from_numpy(features.train), "Scoring")

    return _Model(None, [], validation.temperature, test, score)


def _rows(rows: NDArray[np.float16], wanted: NDArray[np.int64]) -> Tensor:
    """Some of the embeddings; not copied where all are wanted."""
    return torch.from_numpy(rows if len(wanted) == len(rows) else rows[wanted])


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
