"""The rounds of an experiment as a table, in words, and as the numbers at the top of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from al_core.analysis.classes import gaps_in_words, gaps_of
from al_core.analysis.curves import measured_on, title_of
from al_core.analysis.stopping import Gain
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.models.metrics import (
    MEASURABLE,
    MEASURES,
    Estimate,
    Measure,
    estimate,
    images_by_class,
    leading,
)
from al_core.store.records import RoundRecord
from al_desk.results.stopping import last_gain
from al_desk.widgets.formatting import interval, plain

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

INTERVALS: dict[Measure, str] = {
    "accuracy": "The 95% interval is Wilson's.",
    "balanced": "The mean recall of all classes that are measured. The 95% interval is Wilson's, "
    "for the effective number of images.",
    "f1": "The mean over all classes that are measured of the harmonic mean of precision and "
    "recall. The 95% interval is Wilson's, for the effective number of images.",
}


def at_a_glance(experiment: Experiment, dataset: Dataset | None) -> None:
    """Labelled, unlabelled, round, and the measure that leads with its interval and its change,
    which is coloured where it is significant and no class is missing; then, in words, the other
    measures and what is missing.

    An open batch counts as unlabelled until it is handed in, so that the numbers belong together.
    """
    table = rounds_table(experiment.rounds)
    is_open = experiment.open_images
    labeled = sum(image not in is_open for image in experiment.pool.labeled.tolist())
    skipped = sum(image not in is_open for image in experiment.pool.skipped.tolist())
    done = min(len(experiment.rounds), experiment.config.rounds)
    row = st.container(horizontal=True, horizontal_alignment="distribute")  # wraps on a phone
    row.metric("Labelled", f"{labeled:,}", width="content")
    row.metric(
        "Unlabelled",
        f"{experiment.pool_size - labeled - skipped:,}",
        width="content",
        help=f"{skipped:,} more were skipped and will not be asked about again.",
    )
    row.metric("Round", f"{done} of {experiment.config.rounds}", width="content")
    if table.empty or pd.isna(table["accuracy"].iloc[-1]):
        what = title_of("accuracy", measured_on(experiment).kind)
        row.metric(what, "–", width="content", help=why_no_accuracy(experiment))
    else:
        first, *others = in_order(leads(experiment))
        _metric(row, experiment, last_gain(experiment, dataset, first), first)
        st.caption(" ".join(_in_short(experiment, one) for one in others))
        if words := why_it_leads(experiment):
            st.caption(words)
    if experiment.rounds:
        show_gaps(experiment)


def _metric(
    row: DeltaGenerator, experiment: Experiment, change: Gain | None, measure: Measure
) -> None:
    last = estimate(experiment.rounds[-1].metrics or {}, measure)
    clear = change is not None and not change.low <= 0 <= change.high
    coloured = clear and not gaps_of(experiment).forbid_verdicts
    row.metric(
        title_of(measure, measured_on(experiment).kind),
        f"{last.value:.1%}",
        width="content",
        delta=f"{100 * change.gain:+.1f} points" if change else None,
        delta_color="normal" if coloured else "off",
        delta_arrow="auto" if clear else "off",
        delta_description=interval(last.low, last.high),
        help=f"{measured_in_words(experiment)} The change is since the round before, grey where "
        f"it may be chance, or a class is missing. {INTERVALS[measure]}",
    )


def _in_short(experiment: Experiment, measure: Measure) -> str:
    """What the last round has of a measure, as a sentence without a verb."""
    last = estimate(experiment.rounds[-1].metrics or {}, measure)
    what = title_of(measure, measured_on(experiment).kind)
    if math.isnan(last.value):
        return f"{what}: not measured."
    return f"{what} {last.value:.1%} ({interval(last.low, last.high)})."


def show_gaps(experiment: Experiment) -> None:
    """Name the classes that the figures hide, if there are any."""
    if words := gaps_in_words(gaps_of(experiment)):
        st.markdown(f":material/visibility_off: {plain(' '.join(words))}")


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
        f"Balanced accuracy leads, because the classes are unequal: of the images measured on, "
        f"{images[most]:,} are {names[most]} and {images[least]:,} {names[least]}. Answering "
        f"{names[most]} every time would have an accuracy of {images[most] / images.sum():.1%}."
    )


def _measured(experiment: Experiment) -> dict[str, Any] | None:
    """The metrics of the last round that has any."""
    return next((one.metrics for one in reversed(experiment.rounds) if one.metrics), None)


def gain(experiment: Experiment) -> str:
    """What the rounds have gained, in a sentence; empty where nothing was measured."""
    if len(experiment.rounds) < 2 or not all(one.metrics for one in experiment.rounds):
        return ""
    measure = leads(experiment)
    first, last = experiment.rounds[0], experiment.rounds[-1]
    before, now = (estimate(one.metrics or {}, measure) for one in (first, last))
    what = title_of(measure, measured_on(experiment).kind)
    return (
        f"{last.labeled - first.labeled:,} labels took the {what[0].lower()}{what[1:]} from "
        f"{before.value:.1%} to {now.value:.1%} ({interval(now.low, now.high)})."
    )


def measured_in_words(experiment: Experiment, every_round: bool = False) -> str:
    """What the last round, or each, was measured on, in a sentence or two."""
    counts = [count for count in map(measured_images, experiment.rounds) if count]
    first, last = counts[0], counts[-1]
    if measured_on(experiment).kind == "test":
        return f"Measured on {last:,} test images; the model never trains on them."
    count = f"{first:,} to {last:,}" if every_round and first != last else f"{last:,}"
    sentence = (
        f"Measured on {count} images drawn at random from the whole pool and labelled by people; "
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
    if experiment.config.held_out_share:
        return "Known once images drawn at random, a share of each batch, have been labelled."
    return (
        "These images have no test set with known classes, and no share of each batch is drawn at "
        "random, so no accuracy can be measured."
    )


def rounds_table(rounds: Sequence[RoundRecord]) -> pd.DataFrame:
    """One row a round; each measure as a share, missing where there is no test set, with its
    ``change`` since the round before, and its interval from ``low`` to ``high``."""
    rows = []
    for record in rounds:
        metrics = record.metrics or {}
        measures: dict[str, float | None] = {}
        for measure in MEASURES:
            one = estimate(metrics, measure) if metrics else Estimate(np.nan, np.nan, np.nan)
            measures |= {measure: one.value, f"{measure}_low": one.low, f"{measure}_high": one.high}
        rows.append({
            "round": record.round,
            "labeled": record.labeled,
            **measures,
            "images": measured_images(record),
            "nll": metrics.get("nll"),
            "ece": metrics.get("ece"),
            "disagreement": record.disagreed / record.compared if record.compared else None,
            "guesses_shown": record.guesses_shown,
            "power": metrics.get("power"),
            "train_seconds": record.train_seconds,
            "evaluate_seconds": record.evaluate_seconds,
            "score_seconds": record.score_seconds,
            "select_seconds": record.select_seconds,
            "images_scored": record.images_scored,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    if not table.empty:
        for measure in MEASURES:
            at = [*table.columns].index(measure) + 1
            table.insert(at, f"{measure}_change", table[measure].diff())
    return table


def measured_images(record: RoundRecord) -> int | None:
    """How many images a round was measured on; None where it was not."""
    return sum(map(sum, record.metrics["confusion"])) if record.metrics else None
