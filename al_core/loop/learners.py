"""What a round trains: a network, or a linear head on embeddings, each calibrated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core import seeds
from al_core.config import POWERS, ClassWeights, ExperimentConfig
from al_core.experiment.pool import Pool
from al_core.features.read import Features
from al_core.features.words import Words
from al_core.images.dataset import Dataset
from al_core.loop.scoring import score_images
from al_core.models import network as networks
from al_core.models.class_weights import balanced_loss
from al_core.models.class_weights import left_out as drawn_to_leave_out
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, on_device
from al_core.models.linear_heads import Heads, fit_head, mixture
from al_core.models.linear_heads import temperature as best_temperature
from al_core.models.network import Network, Pretrained
from al_core.models.prediction import Predictions, predict
from al_core.models.training import fit
from al_core.models.weights import pretrained_weights
from al_core.progress import Progress, TrainingProgress, Work

TO_NORMALISE = 2**19  # pixels of the pool, of 64 images at least, give batch norm its statistics
LEFT_OUT = 3  # one label in so many calibrates the network that has learned the others
# How a temperature was found.
CROSS_VALIDATION, HOLD_OUT, EARLIER = "cross-validation", "hold-out", "earlier hold-out"


@dataclass(frozen=True, slots=True, eq=False)
class RoundTask:
    """The input of round ``number`` of an experiment: settings, the labels of the ``pool``, images.

    With ``features``, a linear head on them is trained in place of a network, and mixed with what
    the ``words`` for classes say, where there are some. The held-out images
    ``held_out`` are never trained on, and measure the model where there is no test set. Without
    ``scoring``, the pool is not predicted. A ranking strategy chooses the images that fp32 would,
    even after others have taken the ``ahead`` best ones.

    A head is calibrated by cross-validation. A network has seen all labels, so its ``temperature``
    is that of an earlier round; where none is given, that of another network, trained on two thirds
    of the labels.
    """

    config: ExperimentConfig
    number: int
    pool: Pool
    dataset: Dataset
    features: Features | None = None
    words: Words | None = None
    held_out: Collection[int] = ()
    temperature: float | None = None
    scoring: bool = True
    ahead: int = 0

    @property
    def to_test(self) -> NDArray[np.int64]:
        """The test images that can be predicted, int64 ``[M]``: perhaps not all are embedded."""
        everything = np.arange(len(self.dataset.test))
        return everything if self.features is None else self.features.tested

    @property
    def known(self) -> Pool:
        """The pool with the labels to train on."""
        return self.pool.without(self.held_out)

    def by_words(
        self, wanted: NDArray[np.int64], of_test: bool = False
    ) -> NDArray[np.float32] | None:
        """What the words alone say of some images of the pool, or of the test set: probabilities
        ``[n,C]``; None without words."""
        if self.words is None or self.features is None:
            return None
        rows = _rows(self.features.test if of_test else self.features.train, wanted)
        said: NDArray[np.float32] = self.words.logits(rows).softmax(1).numpy()
        return said


@dataclass(frozen=True, slots=True, eq=False)
class Trained(ABC):
    """A round's model. ``history`` is that of its training; ``power``, that of its class weights.
    Its logits are divided by ``temperature``, found as ``calibrated_by`` says; where those of words
    are added, ``mixed`` are the weights of both. ``network`` is None for a head on embeddings."""

    task: RoundTask
    hardware: Hardware
    network: Network | None
    history: list[list[float]]
    power: float
    temperature: float
    calibrated_by: str
    mixed: tuple[float, float] | None = None

    @abstractmethod
    def predict_test(self, wanted: NDArray[np.int64]) -> Work[Predictions]:
        """Predict some of the test images, int64 ``[M]``."""

    @abstractmethod
    def predict_pool(self) -> Work[Predictions]:
        """Predict all training images, as exactly as choosing from the unlabelled ones needs."""


class TrainedNetwork(Trained):
    """A network, which reads the images themselves."""

    network: Network

    def predict_test(self, wanted: NDArray[np.int64]) -> Work[Predictions]:
        """Predict some of the test images, int64 ``[M]``."""
        images = on_device(self.task.dataset.test.images, self.hardware)
        fast = InferenceNetwork(self.network, self.hardware)
        return predict(fast, images, wanted, self.hardware, "Evaluating")

    def predict_pool(self) -> Work[Predictions]:
        """Predict all training images: those near the cut-off of a ranking as fp32 would."""
        task, hardware = self.task, self.hardware
        images = on_device(task.dataset.train.images, hardware)
        n, unlabeled = task.config.per_round + task.ahead, task.pool.unlabeled
        return score_images(self.network, images, task.config.strategy, unlabeled, n, hardware)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedHead(Trained):
    """A linear head on the features of the images, which words may be added to."""

    head: Heads = field(kw_only=True)
    features: Features = field(kw_only=True)

    def predict_test(self, wanted: NDArray[np.int64]) -> Work[Predictions]:
        """Predict some of the test images, int64 ``[M]``."""
        return self._predict(_rows(self.features.test, wanted), "Evaluating")

    def predict_pool(self) -> Work[Predictions]:
        """Predict all training images."""
        return self._predict(torch.from_numpy(self.features.train), "Scoring")

    def _predict(self, embeddings: Tensor, phase: str) -> Work[Predictions]:
        yield Progress(phase, 0, 0, "", 0)
        embeddings = embeddings.to(self.hardware.device)
        logits = self.head.logits(embeddings)[0]
        if self.task.words is not None and self.mixed is not None:
            words = self.task.words.to(self.hardware.device).logits(embeddings)
            logits = self.mixed[0] * logits + self.mixed[1] * words
        return Predictions(logits.softmax(1).cpu(), embeddings)


def train_head(
    task: RoundTask, hardware: Hardware, generator: torch.Generator
) -> Work[TrainedHead]:
    """A linear head; its penalty and class weights, and how much it is worth beside words, chosen
    by cross-validation on the labels."""
    known, features = task.known, task.features
    assert features is not None
    yield Progress("Training", 0, 0, "", 0)
    x, y = _rows(features.train, known.labeled), torch.from_numpy(known.labels)
    x, y = x.to(hardware.device), y.to(hardware.device)
    classes, weighting = len(task.config.class_names), task.config.train.class_weights
    head, by = fit_head(x, y, classes, generator, weighting)
    mixed = None
    if task.words is not None:
        mixed = mixture(by.left_out, task.words.to(hardware.device).logits(x), y)
    return TrainedHead(
        task, hardware, None, [], by.power, by.temperature, CROSS_VALIDATION, mixed,
        head=head, features=features,
    )  # fmt: skip


def _rows(rows: NDArray[np.float16], wanted: NDArray[np.int64]) -> Tensor:
    """Some of the embeddings; not copied where all are wanted. By torch, since NumPy would hold up
    all other threads while a disk is read."""
    whole = torch.from_numpy(rows)
    return whole if len(wanted) == len(rows) else whole[torch.from_numpy(wanted)]


def train_network(
    task: RoundTask, hardware: Hardware, generator: torch.Generator
) -> Work[TrainedNetwork]:
    """A network, trained from fresh or pretrained weights, and calibrated."""
    weights = task.config.model.weights
    pretrained = yield from pretrained_weights(weights, task.dataset.learned_for)
    lesson = _Lesson(task, hardware, pretrained)
    weighting = task.config.train.class_weights
    if weighting == "auto":
        weighting = yield from lesson.best_weighting()
    network, history = lesson.fresh(generator), []
    for report in lesson.learn(network, lesson.everything, weighting, generator):
        if report.ends_epoch:
            history.append([report.epoch, report.loss, report.accuracy])
        yield report
    temperature, calibrated_by = task.temperature, EARLIER
    if temperature is None:
        temperature = yield from lesson.temperature_of_another(weighting)
        calibrated_by = HOLD_OUT
    # A network knows its labels by heart; that it were too unsure is what few labels say by chance.
    temperature = max(temperature, 1.0)
    network.calibrate(temperature)
    power = POWERS[weighting]
    return TrainedNetwork(task, hardware, network, history, power, temperature, calibrated_by)


class _Lesson:
    """The labels that a network learns, and others that learn a part of them, to see what is best
    for it."""

    def __init__(self, task: RoundTask, hardware: Hardware, pretrained: Pretrained | None) -> None:
        self.task, self.hardware, self.pretrained = task, hardware, pretrained
        self.images = on_device(task.dataset.train.images, hardware)
        self.known = task.known
        self.labels = torch.from_numpy(self.known.labels)
        self.everything = np.arange(len(self.labels))

    def fresh(self, generator: torch.Generator) -> Network:
        """A network that has learned no labels."""
        config, images = self.task.config, self.task.dataset.train.images
        classes, stem = len(config.class_names), config.model.stem
        return networks.build(classes, stem, self.hardware, images, generator, self.pretrained)

    def learn(
        self,
        network: Network,
        rows: NDArray[np.int64],
        weighting: ClassWeights,
        generator: torch.Generator,
    ) -> Iterator[TrainingProgress]:
        """``network`` learns these of the labels."""
        config, device = self.task.config, self.hardware.device
        x = torch.as_tensor(self.images[self.known.labeled[rows]]).to(device)
        train = replace(config.train, class_weights=weighting)
        if train.few_in_a_batch(len(rows)):
            count = max(64, TO_NORMALISE // config.size_in_memory**2)
            some = np.arange(0, len(self.images), max(1, len(self.images) // count))[:count]
            network.freeze_norms(torch.as_tensor(self.images[some]).to(device))
        return fit(network, x, self.labels[rows].to(device), train, self.hardware, generator)

    def by_another(
        self,
        left_out: NDArray[np.int64],
        weighting: ClassWeights,
        generator: torch.Generator,
        phase: str,
    ) -> Work[Tensor]:
        """Probabilities of some of the labelled images, by a network that learns the others."""
        network, rest = self.fresh(generator), np.setdiff1d(self.everything, left_out)
        for report in self.learn(network, rest, weighting, generator):  # not the training's curve
            yield Progress(phase, report.done, report.total, report.unit, report.seconds)
        fast, wanted = InferenceNetwork(network, self.hardware), self.known.labeled[left_out]
        return (yield from predict(fast, self.images, wanted, self.hardware, phase)).probs

    def best_weighting(self) -> Work[ClassWeights]:
        """The class weights with the least balanced loss, calibrated, on labels that are left out:
        each is tried from the same random numbers."""
        chance = (self.task.config.seed, "round", self.task.number, "class weights")
        labels = self.labels
        out = np.flatnonzero(drawn_to_leave_out(labels, seeds.generator(*chance)).numpy())
        if not len(out) or len(set(labels.tolist())) < 2:
            return "off"  # all classes have as many labels
        losses: dict[ClassWeights, float] = {}
        for weighting in POWERS:
            phase = f"Training to choose class weights, {len(losses) + 1} of {len(POWERS)}"
            again = seeds.generator(*chance, "training")
            probs = yield from self.by_another(out, weighting, again, phase)
            logits = probs.clamp_min(1e-12).log() / best_temperature(probs, labels[out])
            losses[weighting] = balanced_loss(logits, labels[out])
        return min(losses, key=losses.__getitem__)

    def temperature_of_another(self, weighting: ClassWeights) -> Work[float]:
        """The best temperature for a network that has learned two thirds of the labels, by the
        others; 1 where that leaves too few."""
        labels = self.labels
        chance = seeds.generator(self.task.config.seed, "round", self.task.number, "calibration")
        out = torch.randperm(len(labels), generator=chance)[: len(labels) // LEFT_OUT].numpy()
        if not len(out):
            return 1.0
        probs = yield from self.by_another(out, weighting, chance, "Calibrating")
        return best_temperature(probs, labels[out])
