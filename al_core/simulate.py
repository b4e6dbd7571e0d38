"""The loop of an experiment with a simulated annotator: no page, no log, a table comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_core.annotators import Annotator
from al_core.config import ExperimentConfig
from al_core.experiment import initial_images
from al_core.images import Dataset
from al_core.network import Hardware
from al_core.pool import Annotation, Pool
from al_core.progress import Progress
from al_core.round import Outcome, run_round


@dataclass(frozen=True, slots=True)
class Row:
    """One round of one simulated experiment; times in seconds, accuracy None without a test set."""

    strategy: str
    seed: int
    round: int
    labeled: int
    test_accuracy: float | None
    train_seconds: float
    score_seconds: float
    select_seconds: float
    images_scored: int


def simulate(
    config: ExperimentConfig, dataset: Dataset, annotator: Annotator, hardware: Hardware
) -> Iterator[Progress | Row]:
    """Run one experiment to its end: reports of progress, and a row as each round ends.

    Round 0 is the initial set; R rounds of labelling give R + 1 rows.
    Raises ConfigError where the settings ask for more images than there are.
    """
    config.check_against(len(dataset.train), dataset.has_truth)
    asked: NDArray[np.int64] = initial_images(config, dataset)
    annotations: list[Annotation] = []
    for number in range(config.rounds + 1):
        annotations += [
            Annotation(int(image), int(label), number, "simulated")
            for image, label in zip(asked, annotator(asked), strict=True)
        ]
        pool = Pool.fold(len(dataset.train), annotations)
        outcome: Outcome = yield from run_round(config, number, pool, dataset, hardware)
        yield _row(config, outcome)
        asked = np.array(outcome.batch.images if outcome.batch else [], dtype=np.int64)
        del outcome  # its network need not wait for the next one to be trained


def _row(config: ExperimentConfig, outcome: Outcome) -> Row:
    record = outcome.record
    return Row(
        strategy=config.strategy,
        seed=config.seed,
        round=record.round,
        labeled=record.labeled,
        test_accuracy=record.metrics["accuracy"] if record.metrics else None,
        train_seconds=record.train_seconds,
        score_seconds=record.score_seconds,
        select_seconds=record.select_seconds,
        images_scored=record.images_scored,
    )
