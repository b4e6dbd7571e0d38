"""One experiment: the log folded into a pool and a phase.

An experiment *is* its log. Opening it, reloading the page, undoing, a crash and a second tab all
come through :func:`open_experiment`; nothing else is remembered anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.errors import ConfigError, SourceError
from al_core.images import SOURCES, Dataset
from al_core.pool import TRUTH, Annotation, Pool
from al_core.schema import Batch, RoundRecord
from al_core.store import Store


class Phase(StrEnum):
    """What an experiment waits for."""

    TRAINING = "training"
    LABELLING = "labelling"
    FINISHED = "finished"


@dataclass(frozen=True)
class Experiment:
    """A snapshot of one experiment. Round 0 trains on the initial images; the batch of round k is
    labelled before round k trains."""

    id: int
    name: str
    config: ExperimentConfig
    fingerprint: str
    pool_size: int
    annotations: tuple[Annotation, ...]
    batches: tuple[Batch, ...]
    rounds: tuple[RoundRecord, ...]

    @cached_property
    def pool(self) -> Pool:
        """Who is labelled by now."""
        return Pool.fold(self.pool_size, self.annotations)

    @property
    def open_batch(self) -> Batch | None:
        """The batch that waits to be labelled and handed in."""
        return next((b for b in reversed(self.batches) if b.handed_in_at is None), None)

    @property
    def phase(self) -> Phase:
        """What happens next. The last round chooses a batch too, for whoever adds a round."""
        if len(self.rounds) > self.config.rounds:
            return Phase.FINISHED
        return Phase.TRAINING if self.open_batch is None else Phase.LABELLING


def initial_images(config: ExperimentConfig, dataset: Dataset) -> NDArray[np.int64]:
    """The positions an experiment starts from, drawn at random by its seed, int64 ``[initial]``."""
    return np.random.default_rng(config.seed).permutation(len(dataset.train))[: config.initial]


def start_experiment(store: Store, name: str, config: ExperimentConfig, dataset: Dataset) -> int:
    """Write a new experiment on ``dataset`` to the log and return its id.

    ``config.initial`` images are drawn at random: labelled by the truth at once, or handed to the
    person as the batch of round 0. Classes come from the dataset where it has them. Raises
    ConfigError where the settings and the images do not fit, or for the name.
    """
    names = dataset.train.class_names or config.class_names
    # Absolute, so that it is found again from another working directory.
    data = config.data if config.data in SOURCES else str(Path(config.data).expanduser().absolute())
    config = replace(config, class_names=names, data=data)
    config.check_against(len(dataset.train), dataset.has_truth)
    initial = initial_images(config, dataset).tolist()
    by_truth = config.initial_labels == "truth"
    return store.create_experiment(
        name,
        config.to_json(),
        dataset.fingerprint,
        len(dataset.train),
        first_annotations=[
            Annotation(i, int(dataset.train.targets[i]), 0, TRUTH, key=dataset.train.keys[i])
            for i in (initial if by_truth else [])
        ],
        first_batch=None if by_truth else Batch(0, "random", initial, None),
    )


def open_experiment(store: Store, name_or_id: str | int) -> Experiment:
    """Fold the log of one experiment; raises UnknownExperiment."""
    record = store.experiment(name_or_id)
    return Experiment(
        record.id,
        record.name,
        ExperimentConfig.from_json(record.config),
        record.fingerprint,
        record.pool_size,
        tuple(store.annotations(record.id)),
        tuple(store.batches(record.id)),
        tuple(store.rounds(record.id)),
    )


def check_images(experiment: Experiment, dataset: Dataset) -> None:
    """Raise SourceError where ``dataset`` is not what the experiment was started on."""
    if dataset.fingerprint != experiment.fingerprint:
        raise SourceError(
            f"The images at “{experiment.config.data}” are not the ones that “{experiment.name}” "
            "was started on, so its labels would point at the wrong images; bring the former "
            "images back, or start a new experiment. The labels are safe and can be exported."
        )


def hand_in(store: Store, experiment_id: int, batch: Batch) -> None:
    """Close a batch, so that its round can train; nothing happens where another tab was quicker.

    While fewer than two classes have a label there is nothing to train on (everything was
    skipped, say): then more images, drawn at random, are asked about first. Raises ConfigError
    while an image of the batch is neither labelled nor skipped, or when no images are left.
    """
    experiment = open_experiment(store, experiment_id)
    pool = experiment.pool
    still_open = sum(image not in pool.answers for image in batch.images)
    if still_open:
        raise ConfigError(f"Neither labelled nor skipped in this batch: {still_open:,}.")
    further = None
    if len(set(pool.labels.tolist())) < 2:
        if not len(pool.unlabeled):
            raise ConfigError(
                "Training needs labels of at least two classes, and no images are left: "
                "change some of the answers."
            )
        seed = [experiment.config.seed, len(experiment.batches)]
        drawn = np.random.default_rng(seed).permutation(pool.unlabeled)[: len(batch.images)]
        further = Batch(batch.round, "random", drawn.tolist(), None)
    store.hand_in(experiment_id, batch.id, further)


def add_rounds(store: Store, experiment: Experiment, more: int) -> None:
    """Let a finished experiment go on for ``more`` rounds; raises ConfigError if it cannot."""
    config = replace(experiment.config, rounds=len(experiment.rounds) - 1 + more)
    needed = (more - 1) * config.per_round
    batch = experiment.open_batch
    if batch is None or needed > len(experiment.pool.unlabeled) - len(batch.images):
        raise ConfigError("There are not enough unlabelled images left for that many rounds.")
    store.set_config(experiment.id, config.to_json())
