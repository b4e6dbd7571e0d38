"""Which measure leads, what it was measured on, and why there may be none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import streamlit as st

from al_core.analysis.curves import measured_on
from al_core.experiment.experiment import Experiment
from al_core.models.metrics import MEASURABLE, MEASURES, Measure, estimate, images_by_class, leading
from al_core.names import counted
from al_core.store.records import RoundRecord
from al_desk.widgets.formatting import plain

INTERVALS: dict[Measure, str] = {
    "accuracy": "The 95% interval is Wilson's.",
    "balanced": "The mean recall of all classes that are measured. The 95% interval is Wilson's, "
    "for the effective number of images.",
    "f1": "The mean over all classes that are measured of the harmonic mean of precision and "
    "recall. The 95% interval is Wilson's, for the effective number of images.",
}


def by_words(experiment: Experiment, measure: Measure) -> tuple[float, str] | None:
    """What class names alone reach, as a share, and about that in words; None where the encoder
    knows no words, or nothing is measured."""
    metrics = experiment.rounds[-1].metrics or {}
    if not metrics.get("words"):
        return None
    share = estimate(metrics["words"], measure).value
    told = (
        "Grey, dashed: what the encoder makes of the class names alone, by the prompts among the "
        "settings of the training."
    )
    if (mixed := metrics.get("mixed")) is not None:
        of_labels, of_names = (
            f"{weight:.2f} times" if weight else "not at all" for weight in mixed
        )
        told += (
            f" The last round's model counts what the labels taught it {of_labels}, and the names "
            f"{of_names}, as cross-validation on the labels chose."
        )
    return None if math.isnan(share) else (share, told)


def leads(experiment: Experiment) -> Measure:
    """What to look at first."""
    metrics = _measured(experiment)
    return leading(metrics) if metrics else "accuracy"


def choose_measure(first: Measure) -> Measure:
    """Let a person switch from the measure that is ``first`` to another; the choice is kept in the
    address."""
    return st.segmented_control(
        "Measure",
        in_order(first),
        format_func=MEASURES.__getitem__,
        default=first,
        required=True,
        # A choice made for equal classes is none for unequal ones.
        key="measure" if first == "accuracy" else "measure-of-unequal",
        bind="query-params",
        label_visibility="collapsed",
    )


def in_order(first: Measure) -> list[Measure]:
    """All measures, that one in front."""
    return sorted(MEASURES, key=lambda measure: measure != first)


def commonest(experiment: Experiment) -> tuple[str, float]:
    """The class with most of the images that the last round was measured on, and its share."""
    images = images_by_class(_measured(experiment) or {})
    return experiment.config.class_names[images.argmax()], float(images.max() / images.sum())


def why_it_leads(experiment: Experiment) -> str:
    """Why balanced accuracy is looked at first, in a sentence; empty where accuracy is."""
    metrics = _measured(experiment)
    if metrics is None or leading(metrics) == "accuracy":
        return ""
    images = images_by_class(metrics)
    names = experiment.config.class_names
    most, least = images.argmax(), np.where(images < MEASURABLE, images.max(), images).argmin()
    return plain(
        f"Balanced accuracy leads, because {images[most]:,} of the images measured on are "
        f"{names[most]}, and {images[least]:,} {names[least]}. Answering {names[most]} every time "
        f"would have an accuracy of {images[most] / images.sum():.1%}."
    )


def _measured(experiment: Experiment) -> dict[str, Any] | None:
    """The metrics of the last round that has any."""
    return next((one.metrics for one in reversed(experiment.rounds) if one.metrics), None)


def measured_in_words(experiment: Experiment, every_round: bool = False) -> str:
    """What the last round, or each, was measured on, in a sentence or two."""
    counts = [count for count in map(measured_images, experiment.rounds) if count]
    first, last = counts[0], counts[-1]
    if measured_on(experiment).kind == "test":
        return f"Measured on {counted(last, 'test image')}; the model never trains on them."
    images = f"{first:,} to " * (every_round and first != last) + counted(last, "image")
    sentence = (
        f"Measured on {images} drawn at random from the whole pool and labelled by people; "
        "the model never trains on these held-out images."
    )
    skipped = len(experiment.held_out.intersection(experiment.pool.skipped.tolist()))
    if skipped:
        more = "1 more was" if skipped == 1 else f"{skipped:,} more were"
        return f"{sentence} {more} skipped; if those are the hard ones, the accuracy is too high."
    return f"{sentence} So it is an unbiased estimate."


def why_no_accuracy(experiment: Experiment) -> str:
    """What is needed before there is one."""
    if not experiment.rounds:
        return "Known after the first training."
    position = experiment.rounds[-1].log_position
    if position is not None and position.embedded is not None:
        return "Known once some of the test images have been embedded, which goes on meanwhile."
    if experiment.config.held_out_share:
        return "Known once images drawn at random, a share of each batch, have been labelled."
    return (
        "These images have no test set with known classes, and no share of each batch is drawn at "
        "random, so no accuracy can be measured."
    )


def measured_images(record: RoundRecord) -> int | None:
    """How many images a round was measured on; None where it was not."""
    return sum(map(sum, record.metrics["confusion"])) if record.metrics else None
