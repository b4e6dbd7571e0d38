"""The numbers at the top of the page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import streamlit as st

from al_core.analysis.classes import gaps_in_words, gaps_of
from al_core.analysis.curves import measured_on, title_of
from al_core.analysis.stopping import Gain
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.models.metrics import Measure, estimate
from al_core.names import counted
from al_desk.results.measures import (
    INTERVALS,
    in_order,
    leads,
    measured_in_words,
    why_it_leads,
    why_no_accuracy,
)
from al_desk.results.stopping import last_gain
from al_desk.widgets.formatting import interval, plain

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


def at_a_glance(experiment: Experiment, dataset: Dataset | None) -> None:
    """Labelled, unlabelled, round, and the measure that leads with its interval and its change,
    which is coloured where it is significant and no class is missing; then, in words, the other
    measures and what is missing.

    An open batch counts as unlabelled until it is handed in, so that the numbers belong together.
    """
    is_open = experiment.open_images
    labeled = sum(image not in is_open for image in experiment.pool.labeled.tolist())
    skipped = sum(image not in is_open for image in experiment.pool.skipped.tolist())
    left = len(experiment.left) + len(is_open & experiment.pool.answers.keys())
    done = min(len(experiment.rounds), experiment.config.rounds)
    row = st.container(horizontal=True, horizontal_alignment="distribute")  # wraps on a phone
    row.metric("Labelled", f"{labeled:,}", width="content")
    row.metric(
        "Unlabelled",
        f"{left:,}",
        width="content",
        help=f"{skipped:,} more were skipped and will not be asked about again.",
    )
    if accepted := len(experiment.accepted.labels.keys() - experiment.pool.answers.keys()):
        about = "A class by the model, accepted under *Accept* without a look at each."
        row.metric("Accepted", f"{accepted:,}", width="content", help=about)
    row.metric("Round", f"{done} of {experiment.config.rounds}", width="content")
    if not experiment.rounds or not experiment.rounds[-1].metrics:
        what = title_of("accuracy", measured_on(experiment).kind)
        row.metric(what, "–", width="content", help=why_no_accuracy(experiment))
    else:
        first, *others = in_order(leads(experiment))
        _metric(row, experiment, last_gain(experiment, dataset, first), first)
        short = [_in_short(experiment, one) for one in others]
        st.caption(" ".join([*short, why_it_leads(experiment)]))
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


def gain(experiment: Experiment) -> str:
    """What the rounds have gained, in a sentence; empty where nothing was measured."""
    if len(experiment.rounds) < 2 or not all(one.metrics for one in experiment.rounds):
        return ""
    measure = leads(experiment)
    first, last = experiment.rounds[0], experiment.rounds[-1]
    before, now = (estimate(one.metrics or {}, measure) for one in (first, last))
    what = title_of(measure, measured_on(experiment).kind)
    labels = counted(last.labeled - first.labeled, "label")
    return (
        f"{labels} took the {what[0].lower()}{what[1:]} from "
        f"{before.value:.1%} to {now.value:.1%} ({interval(now.low, now.high)})."
    )
