"""The loop without a person: the same as the desk's, with its own store and a function as the
annotator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.leases import hand_in, take_new_batch
from al_core.images.dataset import Dataset
from al_core.loop.advance import advance, choose_batch
from al_core.models.hardware import Hardware
from al_core.models.weights import weights_path
from al_core.progress import Progress, Work
from al_core.simulation.annotators import Annotator
from al_core.store.records import Annotation, Batch

if TYPE_CHECKING:
    from al_core.store.store import Store

NAME = "simulated"  # who labels


@dataclass(frozen=True, slots=True)
class Row:
    """One round of a simulated experiment; times in seconds.

    ``test_accuracy``, ``nll`` (nats) and ``ece`` are None without a test set. ``disagreement`` is
    the share of this round's labels that differ from the prediction of the model that chose the
    images, None for the first round.
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


def rows_of(experiment: Experiment) -> list[Row]:
    """The finished rounds, up to the number in its settings."""
    config = experiment.config
    rows = []
    for record in experiment.rounds[: config.rounds + 1]:
        metrics = record.metrics or {}
        rows.append(
            Row(
                strategy=config.strategy,
                seed=config.seed,
                round=record.round,
                labeled=record.labeled,
                test_accuracy=metrics.get("accuracy"),
                train_seconds=record.train_seconds,
                score_seconds=record.score_seconds,
                select_seconds=record.select_seconds,
                images_scored=record.images_scored,
                nll=metrics.get("nll"),
                ece=metrics.get("ece"),
                disagreement=record.disagreed / record.compared if record.compared else None,
            )
        )
    return rows


def simulate(
    store: Store, experiment_id: int, dataset: Dataset, annotator: Annotator, hardware: Hardware
) -> Iterator[Progress | Row]:
    """Run an experiment to its end, from where its log stands: progress reports, and a row as each
    round ends. R rounds of labelling give R + 1 rows, the first for the initial images."""

    def choose(experiment: Experiment, number: int) -> Work[Batch | None]:
        return choose_batch(experiment, number, dataset, hardware)

    while True:
        experiment = open_experiment(store, experiment_id)
        if experiment.phase is Phase.TRAINING:
            yield from advance(store, experiment_id, dataset, hardware)
            # 45 MB a round that nobody will need again.
            weights_path(experiment.folder, experiment.next_round).unlink(missing_ok=True)
            yield rows_of(open_experiment(store, experiment_id))[-1]
            continue
        batch = yield from take_new_batch(store, experiment_id, NAME, NAME, lambda _: False, choose)
        if batch is None:
            return
        labels = annotator(np.array(batch.images, dtype=np.int64))
        annotations = [
            # Named, so that two runs of the same simulation write each label once.
            Annotation(int(image), int(label), batch.round, NAME, event=f"{batch.id}-{image}")
            for image, label in zip(batch.images, labels, strict=True)
        ]
        store.append(experiment_id, annotations)
        hand_in(store, experiment_id, batch)
