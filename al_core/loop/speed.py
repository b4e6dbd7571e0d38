"""How long a round takes on this machine, from a measurement of a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from al_core.config import POWERS, ExperimentConfig, Stem, TrainConfig
from al_core.loop.scoring import can_be_fast
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware
from al_core.models.linear_heads import fit_head, fit_heads
from al_core.models.network import build
from al_core.models.prediction import BATCH_SIZE, predict
from al_core.models.training import fit
from al_core.progress import Progress, Work, finish
from al_core.seeds import generator

WIDTH, CLASSES = 512, 10
STEPS = 4  # of training, timed after as many untimed ones
LABELS, ROWS = 500, 10_000  # for the head


@dataclass(frozen=True, slots=True)
class Speed:
    """Images a second in ``training``, in ``predicting``, and in predicting in ``fp32``; a linear
    head's seconds per label to ``fit``, and per image to ``score``."""

    training: float
    predicting: float
    fp32: float
    fit: float
    score: float

    def of_fine_tuning(self, config: ExperimentConfig, images: int) -> float:
        """Seconds of a first round, with ``images`` to predict."""
        train = config.train
        seen = train.batch_of(config.initial) * train.steps_for(config.initial)
        scoring = self.predicting if can_be_fast(config.strategy) else self.fp32
        trainings = 2 + len(POWERS) * (train.class_weights == "auto")  # one calibrates
        return trainings * seen / self.training + images / scoring

    def of_features(self, images: int) -> float:
        """Seconds to compute the features of ``images``, once."""
        return images / self.fp32

    def of_head(self, config: ExperimentConfig, images: int) -> float:
        """Seconds of a first round with a linear head."""
        return config.initial * self.fit + images * self.score


def measure_speed(stem: Stem, image_size: int, hardware: Hardware) -> Work[Speed]:
    """Train, predict and fit a head briefly, on random images and embeddings."""
    yield Progress("Measuring what a round takes", 0, 0, "", 0)
    chance = generator(0, "speed")
    shape = (BATCH_SIZE, 3, image_size, image_size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=chance)
    network = build(CLASSES, stem, hardware, images.numpy(), chance)

    def predicting(on: Hardware) -> Callable[[], object]:
        fast, everything = InferenceNetwork(network, on), np.arange(BATCH_SIZE)
        return lambda: finish(predict(fast, images, everything, on, ""))

    config = TrainConfig(epochs=1, min_steps=STEPS)
    few = images[: STEPS * config.batch_size].to(hardware.device)
    labels = torch.randint(CLASSES, (len(few),), generator=chance).to(hardware.device)

    def training() -> None:
        finish(fit(network, few, labels, config, hardware, chance))

    x = torch.randn(ROWS, WIDTH, generator=chance).half()
    y = torch.randint(CLASSES, (LABELS,), generator=chance)

    def fitting() -> None:
        fit_head(x[:LABELS], y, CLASSES, chance)

    head = fit_heads(x[:LABELS], y, CLASSES, torch.ones(1, LABELS), torch.ones(1), iterations=1)
    seconds = []
    parts = (
        predicting(hardware),
        predicting(hardware.exact),
        training,
        fitting,
        lambda: head.logits(x),
    )
    for work in parts:
        work()  # the first call loads kernels, which happens only once
        yield Progress("Measuring what a round takes", 0, 0, "", 0)
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return Speed(
        predicting=BATCH_SIZE / seconds[0],
        fp32=BATCH_SIZE / seconds[1],
        training=len(few) / seconds[2],
        fit=seconds[3] / LABELS,
        score=seconds[4] / ROWS,
    )
