"""What as many labels would have given, had they been picked at random: the yardstick of a curve.

It is trained in the background, on images whose truth is known and with the truth as annotator,
and kept beside the experiment's weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_core.experiment import Experiment, initial_images
from al_core.images import Dataset
from al_core.pool import TRUTH, Annotation, Pool
from al_core.predictions import whole_file
from al_core.progress import Work
from al_core.schema import RoundRecord
from al_core.store import home

if TYPE_CHECKING:
    from al_core.network import Hardware


def can_be_measured(dataset: Dataset) -> bool:
    """Whether the truth is known of every training image and of some test images."""
    return dataset.has_truth and bool((dataset.test.targets >= 0).any())


def reference(experiment: Experiment) -> dict[int, dict[str, Any]]:
    """The metrics with as many random labels, by round, as far as they are known."""
    found = {}
    for record in experiment.rounds:
        if record.round == 0 and experiment.config.initial_labels == "truth":
            found[record.round] = record.metrics or {}
        else:
            with suppress(OSError, ValueError):
                path = _path(experiment, record)
                found[record.round] = json.loads(path.read_text(encoding="utf-8"))
    return found


def missing(experiment: Experiment) -> Sequence[RoundRecord]:
    """The rounds whose reference is not known yet."""
    known = reference(experiment)
    return [record for record in experiment.rounds if record.round not in known]


def run_reference(experiment: Experiment, dataset: Dataset, hardware: Hardware) -> Work[None]:
    """Train what is missing, a round at a time, each with its settings and its number of labels."""
    from al_core.round import run_round

    for record in missing(experiment):
        config = replace(experiment.config, initial=record.labeled)
        images = initial_images(config, len(dataset.train))
        labels = [
            Annotation(int(image), int(dataset.train.targets[image]), record.round, TRUTH)
            for image in images
        ]
        pool = Pool.fold(len(dataset.train), labels)
        outcome = yield from run_round(config, record.round, pool, dataset, hardware, scoring=False)
        with whole_file(_path(experiment, record)) as file:
            file.write(json.dumps(outcome.record.metrics).encode())


def _path(experiment: Experiment, record: RoundRecord) -> Path:
    name = f"random-{record.round}-{record.labeled}.json"
    return home() / "weights" / str(experiment.id) / name
