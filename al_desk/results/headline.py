"""What an experiment has shown so far, at a glance: the numbers at the top of the page."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_desk.results.rounds_table import (
    accuracy_name,
    measured_in_words,
    rounds_table,
    why_no_accuracy,
)
from al_desk.results.stopping import is_clear, last_gain
from al_desk.widgets.formatting import interval


def at_a_glance(experiment: Experiment, dataset: Dataset | None) -> None:
    """Labelled, unlabelled, round, and accuracy with its interval and its change, which is coloured
    where it is significant.

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
    what = accuracy_name(experiment)
    if table.empty or pd.isna(table["accuracy"].iloc[-1]):
        row.metric(what, "–", width="content", help=why_no_accuracy(experiment))
        return
    last, change = table.iloc[-1], last_gain(experiment, dataset)
    clear = change is not None and is_clear(change)
    row.metric(
        what,
        f"{last['accuracy']:.1%}",
        width="content",
        delta=None if pd.isna(last["change"]) else f"{100 * last['change']:+.1f} points",
        delta_color="normal" if clear else "off",
        delta_arrow="auto" if clear else "off",
        delta_description=interval(last["low"], last["high"]),
        help=f"{measured_in_words(experiment)} The change is since the round before, grey where "
        "it may be chance. The 95% interval is Wilson's.",
    )


def gain(experiment: Experiment) -> str:
    """What the rounds have gained, in a sentence; empty where nothing was measured."""
    table = rounds_table(experiment.rounds)
    if len(table) < 2 or table["accuracy"].isna().any():
        return ""
    first, last = table.iloc[0], table.iloc[-1]
    return (
        f"{last['labeled'] - first['labeled']:,} labels took the "
        f"{accuracy_name(experiment).lower()} from {first['accuracy']:.1%} to "
        f"{last['accuracy']:.1%} ({interval(last['low'], last['high'])})."
    )
