"""The random baseline: what as many labels would have given for images picked at random.

It is trained in the background, where the truth is known, with the truth as annotator, and kept
beside the experiment's weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_core.analysis.curves import Curve, curve_of, points, strategies_in_words
from al_core.analysis.stopping import gain_between
from al_core.config import ExperimentConfig
from al_core.experiment.experiment import Experiment
from al_core.experiment.pool import Pool
from al_core.experiment.source import images_of
from al_core.experiment.start import initial_images
from al_core.files.atomic import whole_file
from al_core.images.dataset import Dataset
from al_core.models.metrics import Measure, estimate, within
from al_core.progress import Work
from al_core.store.records import TRUTH, Annotation, RoundRecord

if TYPE_CHECKING:
    from al_core.models.hardware import Hardware


def can_be_measured(dataset: Dataset) -> bool:
    """Whether the truth is known for all training images and some test images."""
    return dataset.has_truth and bool((dataset.test.targets >= 0).any())


def baseline_metrics(experiment: Experiment) -> dict[int, dict[str, Any]]:
    """The metrics of the random baseline by round, as far as they are known."""
    metrics = {}
    for record in experiment.rounds:
        if _is_random(experiment, record):
            metrics[record.round] = record.metrics or {}
        else:
            with suppress(OSError, ValueError):
                kept = json.loads(_path(experiment, record).read_text(encoding="utf-8"))
                if kept is None or _are_metrics(kept):
                    metrics[record.round] = kept
    return metrics


def _are_metrics(kept: Any) -> bool:
    """Whether a file holds what is read from it here, undamaged."""
    try:
        counts = [count for row in kept["confusion"] for count in row]
        shares = [kept["accuracy"], *kept["interval"]]
        return len(shares) == 3 and 0 <= min(shares) <= max(shares) <= 1 and min(counts) >= 0
    except (KeyError, TypeError, ValueError):
        return False


def missing(experiment: Experiment) -> Sequence[RoundRecord]:
    """The rounds whose baseline is not known yet, or is damaged."""
    known = baseline_metrics(experiment)
    return [record for record in experiment.rounds if record.round not in known]


def has_baseline(experiment: Path) -> bool:
    """Whether any round of an experiment has a baseline on disk."""
    return any(experiment.glob("random-*.json"))


def baseline_curve(experiment: Experiment, measure: Measure = "accuracy") -> Curve | None:
    """The random baseline as a curve beside the experiment's; None where nothing of it is known."""
    known = baseline_metrics(experiment)
    rounds = [replace(record, metrics=known.get(record.round)) for record in experiment.rounds]
    curve = curve_of(replace(experiment, rounds=tuple(rounds)), measure)
    name = f"{experiment.name}, random labels"  # which no person gave, in no time
    return curve and replace(curve, name=name, minutes=None)


def against_random(experiment: Experiment, measure: Measure = "accuracy") -> str:
    """How the latest round with a known baseline compares with it, in a sentence; empty without.

    The baseline's predictions for each test image are not kept, so the interval is the one for
    independent proportions, which is wider.
    """
    known = baseline_metrics(experiment)
    rounds = [record for record in experiment.rounds if record.round and known.get(record.round)]
    if not rounds:
        return ""
    record = rounds[-1]
    baseline = replace(record, metrics=known[record.round])
    gain = gain_between(baseline, record, measure=measure)
    if gain is None:
        return ""
    name = strategies_in_words(experiment)
    share = estimate(known[record.round], measure).value
    of = "" if measure == "accuracy" else f" {within(measure)}"
    given = f"{record.labeled:,} random labels give {share:.1%}{of}"
    bounds = (gain.low, gain.high) if gain.gain > 0 else (-gain.high, -gain.low)
    interval = f"95% interval {points(bounds[0])} to {points(bounds[1])}, one run"
    side = "above" if gain.gain > 0 else "below"
    if bounds[0] > 0:
        return f"{given}: {name} is {points(abs(gain.gain))} points {side} ({interval})."
    return (
        f"{given}: {name} cannot be told apart from them ({points(abs(gain.gain))} points {side}, "
        f"{interval})."
    )


def train_baseline(experiment: Experiment, dataset: Dataset, hardware: Hardware) -> Work[None]:
    """Train the missing rounds one by one, each with its settings and its number of labels."""
    from al_core.features.embed import features_of
    from al_core.loop.features import words_of
    from al_core.loop.learners import RoundTask
    from al_core.loop.round import run_round

    for record in missing(experiment):
        config = replace(_settings(experiment, record), initial=record.labeled)
        images = images_of(replace(experiment, config=config), dataset)  # that measured it
        features = yield from features_of(config, images, hardware)
        words = yield from words_of(replace(experiment, config=config), images)
        labels = [
            Annotation(int(image), int(images.train.targets[image]), record.round, TRUTH)
            for image in initial_images(config, len(images.train))
        ]
        pool = Pool.fold(len(images.train), labels)
        task = RoundTask(
            config,
            record.round,
            pool,
            images,
            features,
            words,
            temperature=record.temperature,
            scoring=False,
        )
        outcome = yield from run_round(task, hardware)
        with whole_file(_path(experiment, record)) as file:
            file.write(json.dumps(outcome.record.metrics).encode())


def _is_random(experiment: Experiment, record: RoundRecord) -> bool:
    """Whether a round was itself trained on random images with the truth's labels."""
    return record.round == 0 and experiment.config.initial_labels == "truth"


def _settings(experiment: Experiment, record: RoundRecord) -> ExperimentConfig:
    """The settings that a round was trained with."""
    position = record.log_position
    return experiment.config.as_recorded(position.settings) if position else experiment.config


def _path(experiment: Experiment, record: RoundRecord) -> Path:
    head = "" if _settings(experiment, record).model.head == "fine-tune" else "-head"
    return experiment.folder / f"random-{record.round}-{record.labeled}{head}.json"
