"""One round: train on the labels so far, evaluate on the test set, score every image."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core import seeds
from al_core.config import POWERS, ClassWeights, ExperimentConfig
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import PoolPredictions
from al_core.features.read import Features
from al_core.images.dataset import Dataset
from al_core.loop.scoring import score_images
from al_core.models import network as networks
from al_core.models.class_weights import balanced_loss
from al_core.models.class_weights import left_out as drawn_to_leave_out
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, on_device
from al_core.models.linear_heads import fit_head
from al_core.models.linear_heads import temperature as best_temperature
from al_core.models.metrics import evaluate
from al_core.models.network import Network
from al_core.models.prediction import Predictions, predict
from al_core.models.training import fit
from al_core.models.weights import pretrained_weights
from al_core.progress import Progress, TrainingProgress, Work
from al_core.store.records import RoundRecord

TO_NORMALISE = 2**19  # pixels of the pool, of 64 images at least, give batch norm its statistics
LEFT_OUT = 3  # one label in so many calibrates the network that has learned the others
# How a temperature was found.
CROSS_VALIDATION, HOLD_OUT, LAST_BATCH = "cross-validation", "hold-out", "last batch"


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
    training; ``power``, that of its class weights. Its logits are divided by ``temperature``, found
    as ``calibrated_by`` says."""

    network: Network | None
    history: list[list[float]]
    power: float
    temperature: float
    calibrated_by: str
    test: Callable[[NDArray[np.int64]], Work[Predictions]]
    score: Callable[[NDArray[np.int64], int], Work[Predictions]]


@dataclass(frozen=True, slots=True, eq=False)
class RoundTask:
    """The input of round ``number`` of an experiment: settings, the labels of the ``pool``, images.

    With ``features``, a linear head on them is trained in place of a network. The held-out images
    ``held_out`` are never trained on, and measure the model where there is no test set. Without
    ``scoring``, the pool is not predicted. A ranking strategy chooses the images that fp32 would,
    even after others have taken the ``ahead`` best ones.

    A head is calibrated by cross-validation. A network has seen all labels, so its ``temperature``
    comes from the network of the round before, which had not seen this round's; where that is not
    known, from another network, trained on two thirds of the labels.
    """

    config: ExperimentConfig
    number: int
    pool: Pool
    dataset: Dataset
    features: Features | None = None
    held_out: Collection[int] = ()
    temperature: float | None = None
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
    training = seeds.generator(config.seed, "round", number, "training")
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


def _fine_tune(task: RoundTask, hardware: Hardware, generator: torch.Generator) -> Work[_Model]:
    """A network, trained from fresh or pretrained weights, and calibrated."""
    config, known, dataset = task.config, task.known, task.dataset
    images = on_device(dataset.train.images, hardware)
    labels = torch.from_numpy(known.labels)
    pretrained = yield from pretrained_weights(config.model.weights, dataset.fingerprint)

    def fresh(generator: torch.Generator) -> Network:
        return networks.build(
            len(config.class_names),
            config.model.stem,
            hardware,
            dataset.train.images,
            generator,
            pretrained,
        )

    def learning(
        net: Network, rows: NDArray[np.int64], weighting: ClassWeights, generator: torch.Generator
    ) -> Iterator[TrainingProgress]:
        """``net`` learns these of the labels."""
        x = torch.as_tensor(images[known.labeled[rows]]).to(hardware.device)
        train = replace(config.train, class_weights=weighting)
        if train.few_in_a_batch(len(rows)):
            count = max(64, TO_NORMALISE // config.image_size**2)
            some = np.arange(0, len(images), max(1, len(images) // count))[:count]
            net.freeze_norms(torch.as_tensor(images[some]).to(hardware.device))
        return fit(net, x, labels[rows].to(hardware.device), train, hardware, generator)

    def by_another(
        left_out: NDArray[np.int64], weighting: ClassWeights, generator: torch.Generator, phase: str
    ) -> Work[Tensor]:
        """Probabilities of some of the labelled images, by a network that learns the others."""
        net, rest = fresh(generator), np.setdiff1d(np.arange(len(labels)), left_out)
        for report in learning(net, rest, weighting, generator):  # not the training's own curve
            yield Progress(phase, report.done, report.total, report.unit, report.seconds)
        fast, wanted = InferenceNetwork(net, hardware), known.labeled[left_out]
        return (yield from predict(fast, images, wanted, hardware, phase)).probs

    def best_weighting() -> Work[ClassWeights]:
        """The class weights with the least balanced loss, calibrated, on labels that are left out:
        each is tried from the same random numbers."""
        chance = (config.seed, "round", task.number, "class weights")
        out = np.flatnonzero(drawn_to_leave_out(labels, seeds.generator(*chance)).numpy())
        if not len(out) or len(set(labels.tolist())) < 2:
            return "off"  # all classes have as many labels
        losses: dict[ClassWeights, float] = {}
        for weighting in POWERS:
            phase = f"Training to choose class weights, {len(losses) + 1} of {len(POWERS)}"
            again = seeds.generator(*chance, "training")
            probs = yield from by_another(out, weighting, again, phase)
            logits = probs.clamp_min(1e-12).log() / best_temperature(probs, labels[out])
            losses[weighting] = balanced_loss(logits, labels[out])
        return min(losses, key=losses.__getitem__)

    def temperature_of_another() -> Work[float]:
        """The best temperature for a network that has learned two thirds of the labels, by the
        others; 1 where that leaves too few."""
        chance = seeds.generator(config.seed, "round", task.number, "calibration")
        out = torch.randperm(len(labels), generator=chance)[: len(labels) // LEFT_OUT].numpy()
        if not len(out):
            return 1.0
        probs = yield from by_another(out, weighting, chance, "Calibrating")
        return best_temperature(probs, labels[out])

    weighting = config.train.class_weights
    if weighting == "auto":
        weighting = yield from best_weighting()
    net, history = fresh(generator), []
    for report in learning(net, np.arange(len(labels)), weighting, generator):
        if report.ends_epoch:
            history.append([report.epoch, report.loss, report.accuracy])
        yield report
    temperature, calibrated_by = task.temperature, LAST_BATCH
    if temperature is None:
        temperature, calibrated_by = (yield from temperature_of_another()), HOLD_OUT
    # A network knows its labels by heart; that it were too unsure is what few labels say by chance.
    temperature = max(temperature, 1.0)
    net.calibrate(temperature)

    def test(wanted: NDArray[np.int64]) -> Work[Predictions]:
        fast = InferenceNetwork(net, hardware)
        return predict(
            fast, on_device(dataset.test.images, hardware), wanted, hardware, "Evaluating"
        )

    def score(unlabeled: NDArray[np.int64], n: int) -> Work[Predictions]:
        return score_images(net, images, config.strategy, unlabeled, n, hardware)

    return _Model(net, history, POWERS[weighting], temperature, calibrated_by, test, score)


def _fit_head(task: RoundTask, hardware: Hardware, generator: torch.Generator) -> Work[_Model]:
    """A linear head, its penalty and class weights chosen by cross-validation on the labels."""
    config, known, features = task.config, task.known, task.features
    assert features is not None
    yield Progress("Training", 0, 0, "", 0)
    x, y = _rows(features.train, known.labeled), torch.from_numpy(known.labels)
    x, y = x.to(hardware.device), y.to(hardware.device)
    weighting = config.train.class_weights
    head, validation = fit_head(x, y, len(config.class_names), generator, weighting)

    def predicted(embeddings: Tensor, phase: str) -> Work[Predictions]:
        yield Progress(phase, 0, 0, "", 0)
        logits = head.logits(embeddings.to(hardware.device))[0]
        return Predictions(logits.softmax(1).cpu(), embeddings)

    def test(wanted: NDArray[np.int64]) -> Work[Predictions]:
        return predicted(_rows(features.test, wanted), "Evaluating")

    def score(unlabeled: NDArray[np.int64], n: int) -> Work[Predictions]:
        return predicted(torch.from_numpy(features.train), "Scoring")

    power, temperature = validation.power, validation.temperature
    return _Model(None, [], power, temperature, CROSS_VALIDATION, test, score)


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
