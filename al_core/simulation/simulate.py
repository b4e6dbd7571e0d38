"""The loop of an experiment with a simulated annotator: no page, no log, a table comes out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.experiment.pool import Pool
from al_core.experiment.start import initial_images
from al_core.features.read import Features
from al_core.images.dataset import Dataset
from al_core.loop.cold_start import untrained_predictions
from al_core.loop.query import choose
from al_core.loop.round import Outcome, run_round
from al_core.models.hardware import Hardware
from al_core.models.linear_heads import temperature as temperature_of
from al_core.models.seeds import round_generator
from al_core.progress import Progress, Work
from al_core.simulation.annotators import Annotator
from al_core.store.records import Annotation


@dataclass(frozen=True, slots=True)
class Row:
    """One round of one simulated experiment; times in seconds.

    ``test_accuracy``, ``nll`` (nats) and ``ece`` are None without a test set. ``disagreement`` is
    the share of this round's labels that differ from the guess of the model which chose the images,
    None for the first.
    """

    strategy: str
    seed: int
    round: int
    labeled: int
    test_accuracy: float | None
    train_seconds: float
    score_seconds: float
    select_seconds: float
    images_scored: int
    nll: float | None
    ece: float | None
    disagreement: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One round that is done: its row, the images ``asked`` about next, and the model's ``guesses``
    for them; their labels say that its logits are best divided by ``temperature``. A run goes on
    from the last of them."""

    row: Row
    asked: Sequence[int]
    guesses: Sequence[int]
    temperature: float


def simulate(
    config: ExperimentConfig,
    dataset: Dataset,
    annotator: Annotator,
    hardware: Hardware,
    features: Features | None = None,
    done: Sequence[Step] = (),
) -> Iterator[Progress | Step]:
    """Run one experiment to its end: reports of progress, and a step as each round ends.

    Round 0 is the initial set; R rounds of labelling give R + 1 steps, less the ones that were
    ``done`` before. With ``features``, a linear head on them is trained instead of a network.
    Raises ConfigError where the settings ask for more images than there are.
    """
    size = len(dataset.train)
    config = replace(config, random_share=0.0)  # nothing but the test set measures here
    config.check_against(size, dataset.has_truth)
    asked = yield from _first(config, dataset, hardware, features)
    guesses: Sequence[int] = ()
    temperature = 1.0
    annotations: list[Annotation] = []
    for number in range(config.rounds + 1):
        labels = annotator(asked)
        annotations += [
            Annotation(int(image), int(label), number, "simulated")
            for image, label in zip(asked, labels, strict=True)
        ]
        if number < len(done):
            step = done[number]
        else:
            wrong = float(np.mean(labels != np.array(guesses))) if len(guesses) else None
            pool = Pool.fold(size, annotations)
            outcome = yield from run_round(
                config, number, pool, dataset, hardware, features, temperature=temperature
            )
            step = yield from _step(config, pool, outcome, wrong, annotator, hardware)
            del outcome  # its network need not wait for the next one to be trained
            yield step
        asked, guesses = np.array(step.asked, dtype=np.int64), step.guesses
        temperature = step.temperature


def _first(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware, features: Features | None
) -> Work[NDArray[np.int64]]:
    """The initial images: drawn at random, or chosen before there is a model."""
    if config.start == "random":
        return initial_images(config, len(dataset.train))
    said = yield from untrained_predictions(config, dataset, hardware, features)
    pool = Pool.fold(len(dataset.train), [])
    generator = round_generator(config.seed, 0, 0)
    chosen, _ = choose(
        config.start, config.initial, said, pool, pool.unlabeled, generator, hardware.device
    )
    return chosen


def _step(
    config: ExperimentConfig,
    pool: Pool,
    outcome: Outcome,
    disagreement: float | None,
    annotator: Annotator,
    hardware: Hardware,
) -> Work[Step]:
    """Choose what to ask about next, after the last round as well: a run may be made longer."""
    record, said = outcome.record, outcome.said
    assert said is not None
    yield Progress("Choosing", 0, len(pool.unlabeled), "images", 0)
    started = time.perf_counter()
    generator = round_generator(config.seed, record.round + 1, 0)
    asked, _ = choose(
        config.strategy, config.per_round, said, pool, pool.unlabeled, generator, hardware.device
    )
    seconds = time.perf_counter() - started
    metrics = record.metrics or {}
    row = Row(
        strategy=config.strategy,
        seed=config.seed,
        round=record.round,
        labeled=record.labeled,
        test_accuracy=metrics.get("accuracy"),
        train_seconds=record.train_seconds,
        score_seconds=record.score_seconds,
        select_seconds=seconds,
        images_scored=record.images_scored,
        nll=metrics.get("nll"),
        ece=metrics.get("ece"),
        disagreement=disagreement,
    )
    guessed = said.probs[asked]
    told = temperature_of(torch.from_numpy(guessed), torch.from_numpy(annotator(asked)))
    return Step(row, asked.tolist(), guessed.argmax(1).tolist(), told)
