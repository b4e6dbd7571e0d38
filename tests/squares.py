"""Sixty coloured squares that a small network learns in seconds, and experiments on them."""

from dataclasses import replace

import numpy as np
import torch

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.experiment import open_experiment
from al_core.experiment.leases import hand_in
from al_core.images.dataset import Dataset, ImageSet
from al_core.loop.advance import advance
from al_core.models.hardware import Hardware
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.store.store import Store

CPU = Hardware(torch.device("cpu"), torch.float32)
QUICK = TrainConfig(epochs=1, min_steps=3, batch_size=8)


def squares(n: int, first: int = 0) -> ImageSet:
    """``n`` images, each of one of three colours with some noise."""
    targets = np.arange(n) % 3
    noise = np.random.default_rng(first).integers(0, 60, (n, 3, 16, 16))
    images = noise.astype(np.uint8)
    images[np.arange(n), targets] += 150
    return ImageSet(images, targets, ("red", "green", "blue"), [f"{first + i}" for i in range(n)])


def of_squares() -> Dataset:
    return Dataset("squares", squares(60), squares(30, 60), "f00d", ())


def config(**changes) -> ExperimentConfig:
    plain = ExperimentConfig(data="squares", initial=6, per_round=4, rounds=2, train=QUICK)
    return replace(plain, **changes)


def label_batch(store: Store, dataset: Dataset, experiment: int, skip: int = 0) -> None:
    """Label the open batch as the truth has it, but for the first ``skip`` images."""
    batch = open_experiment(store, experiment).open_batch
    store.append(experiment, [
        Annotation(i, None if rank < skip else int(dataset.train.targets[i]), batch.round, "ada")
        for rank, i in enumerate(batch.images)
    ])  # fmt: skip
    hand_in(store, experiment, batch)


def train(store: Store, dataset: Dataset, experiment: int) -> None:
    finish(advance(store, experiment, dataset, CPU))
