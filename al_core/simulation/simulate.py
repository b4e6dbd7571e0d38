"""The loop without a person: the same as the desk's, with its own store and a function as the
annotator, who answers with the truth or with labels from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_core.analysis.curves import IN_TABLES
from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.experiment.experiment import Phase, open_experiment
from al_core.experiment.leases import Holder, hand_in, take_new_batch
from al_core.files.arrays import open_arrays
from al_core.files.paths import located
from al_core.images.dataset import Dataset
from al_core.loop.advance import advance, choose_batch
from al_core.models.hardware import Hardware
from al_core.models.metrics import Estimate, Measure, estimate, leading
from al_core.models.weights import weights_path
from al_core.progress import Progress
from al_core.store.records import Annotation, RoundRecord

if TYPE_CHECKING:
    from al_core.store.store import Store

NAME = "simulated"  # who labels
MOST = 1 << 30  # bytes of labels
Annotator = Callable[[NDArray[np.int64]], NDArray[np.int64]]  # positions [n] to labels [n]


def find_annotator(name: str, dataset: Dataset) -> Annotator:
    """``truth``, or ``FILE.npz:COLUMN`` for labels by real people. Raises ConfigError where these
    images have no such annotator."""
    if name == "truth":
        return truth(dataset)
    file, colon, column = name.rpartition(":")
    if not colon:
        raise ConfigError(f"There is no annotator “{name}”; choose truth, or FILE.npz:COLUMN.")
    labels = _column(located(file), column, dataset)
    return lambda positions: labels[positions]


def truth(dataset: Dataset) -> Annotator:
    """The annotator who is always right; raises ConfigError where the truth is not known."""
    if not dataset.has_truth:
        raise ConfigError(
            f"No truth is known for the images of “{dataset.source}”, so it cannot be simulated."
        )
    return lambda positions: dataset.train.targets[positions]


def _column(path: Path, column: str, dataset: Dataset) -> NDArray[np.int64]:
    """The labels in an array of an ``.npz`` file, one for each training image."""
    try:
        with open_arrays(path, [column], MOST) as file:
            if column not in file:
                raise ConfigError(f"{path} has no “{column}”; it has {', '.join(file.files)}.")
            labels = file[column]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as an .npz file of labels ({error}).") from error
    classes = len(dataset.train.class_names)
    if labels.shape != (len(dataset.train),) or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"“{column}” in {path} is {labels.dtype}, {labels.shape}; there must be "
            f"{len(dataset.train):,} whole numbers, one for each training image."
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ConfigError(
            f"“{column}” in {path} has labels from {labels.min()} to {labels.max()}; there are "
            f"{classes} classes, from 0."
        )
    return labels.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Row:
    """One round of a simulated experiment; times in seconds.

    ``test_accuracy``, ``balanced_accuracy`` and ``macro_f1``, each with its 95% interval, ``nll``
    (nats) and ``ece`` are None without a test set, as is ``leading``, which of the three to look at
    first. ``disagreement`` is the share of this round's labels that differ from the prediction of
    the model that chose the images, None for the first round.
    """

    strategy: str
    seed: int
    round: int
    labeled: int
    test_accuracy: float | None
    test_accuracy_low: float | None
    test_accuracy_high: float | None
    balanced_accuracy: float | None
    balanced_accuracy_low: float | None
    balanced_accuracy_high: float | None
    macro_f1: float | None
    macro_f1_low: float | None
    macro_f1_high: float | None
    leading: Measure | None
    train_seconds: float
    score_seconds: float
    select_seconds: float
    images_scored: int
    nll: float | None
    ece: float | None
    disagreement: float | None


def row_of(record: RoundRecord, config: ExperimentConfig) -> Row:
    """A finished round of an experiment with these settings."""
    metrics = record.metrics or {}
    measures: dict[str, Any] = {}
    for measure, column in IN_TABLES.items():
        one = estimate(metrics, measure) if metrics else Estimate(np.nan, np.nan, np.nan)
        found = {column: one.value, f"{column}_low": one.low, f"{column}_high": one.high}
        measures |= {name: None if np.isnan(share) else share for name, share in found.items()}
    return Row(
        strategy=config.strategy,
        seed=config.seed,
        round=record.round,
        labeled=record.labeled,
        train_seconds=record.train_seconds,
        score_seconds=record.score_seconds,
        select_seconds=record.select_seconds,
        images_scored=record.images_scored,
        leading=leading(metrics) if metrics else None,
        nll=metrics.get("nll"),
        ece=metrics.get("ece"),
        disagreement=record.disagreed / record.compared if record.compared else None,
        **measures,
    )


def simulate(
    store: Store, experiment_id: int, dataset: Dataset, annotator: Annotator, hardware: Hardware
) -> Iterator[Progress | Row]:
    """Run an experiment to its end, from where its log stands: progress reports, and a row for each
    round that has ended, as it ends. R rounds of labelling give R + 1 rows, the first for the
    initial images."""
    choose = partial(choose_batch, dataset=dataset, hardware=hardware)
    shown = 0
    while True:
        experiment = open_experiment(store, experiment_id)
        ended = experiment.rounds[shown : experiment.config.rounds + 1]
        yield from (row_of(record, experiment.config) for record in ended)
        shown = experiment.next_round
        if experiment.phase is Phase.TRAINING:
            yield from advance(store, experiment_id, dataset, hardware)
            # 45 MB a round that nobody will need again.
            weights_path(experiment.folder, experiment.next_round).unlink(missing_ok=True)
            continue
        batch = yield from take_new_batch(store, experiment_id, Holder(NAME, NAME), choose)
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
