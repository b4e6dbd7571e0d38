"""What a round costs on this machine, from a measurement of a few seconds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from al_core.config import ExperimentConfig, Stem, TrainConfig
from al_core.heads import cross_validate, fit_heads
from al_core.inference import InferenceNetwork
from al_core.network import Hardware, build
from al_core.predict import BATCH_SIZE, predict
from al_core.progress import Progress, Work, finish
from al_core.train import fit

WIDTH, CLASSES = 512, 10
STEPS = 4  # of training, timed after as many that are not
LABELS, ROWS = 500, 10_000  # of the head that is measured


@dataclass(frozen=True, slots=True)
class Speed:
    """Images a second in ``training`` and ``predicting``; seconds a linear head takes to ``fit``
    each label, and to ``score`` each image."""

    training: float
    predicting: float
    fit: float
    score: float

    def of_fine_tuning(self, config: ExperimentConfig, images: int) -> float:
        """Seconds of a first round, with ``images`` to look at."""
        train = config.train
        batch = min(train.batch_size, config.initial)
        steps = max(math.ceil(train.epochs * config.initial / batch), train.min_steps)
        return steps * batch / self.training + images / self.predicting

    def of_features(self, images: int) -> float:
        """Seconds that the features of ``images`` take, once."""
        return images / self.predicting

    def of_head(self, config: ExperimentConfig, images: int) -> float:
        """Seconds of a first round with a linear head."""
        return config.initial * self.fit + images * self.score


def measure_speed(stem: Stem, image_size: int, hardware: Hardware) -> Work[Speed]:
    """Train, predict and fit a head for a moment, on random images and embeddings."""
    yield Progress("Measuring what a round takes", 0, 0, "", 0)
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH_SIZE, 3, image_size, image_size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    network = build(CLASSES, stem, hardware, images.numpy(), generator)
    fast, everything = InferenceNetwork(network, hardware), np.arange(BATCH_SIZE)

    def predicting() -> None:
        finish(predict(fast, images, everything, hardware, ""))

    config = TrainConfig(epochs=1, min_steps=STEPS)
    few = images[: STEPS * config.batch_size].to(hardware.device)
    labels = torch.randint(CLASSES, (len(few),), generator=generator).to(hardware.device)

    def training() -> None:
        finish(fit(network, few, labels, config, hardware, generator))

    x = torch.randn(ROWS, WIDTH, generator=generator).half()
    y = torch.randint(CLASSES, (LABELS,), generator=generator)

    def fitting() -> None:
        penalty = cross_validate(x[:LABELS], y, CLASSES, generator).penalty
        fit_heads(x[:LABELS], y, CLASSES, torch.ones(1, LABELS), torch.tensor([penalty]))

    head = fit_heads(x[:LABELS], y, CLASSES, torch.ones(1, LABELS), torch.ones(1), iterations=1)
    seconds = []
    for work in (predicting, training, fitting, lambda: head.logits(x)):
        work()  # the first call loads kernels, and nobody waits for that twice
        yield Progress("Measuring what a round takes", 0, 0, "", 0)
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return Speed(
        training=len(few) / seconds[1],
        predicting=BATCH_SIZE / seconds[0],
        fit=seconds[2] / LABELS,
        score=seconds[3] / ROWS,
    )
