"""The rounds of an experiment as a table, in words, and as the numbers at the top of the page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from al_core.analysis.curves import TITLES, measured_on
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.store.records import RoundRecord
from al_desk.results.stopping import last_gain
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
    clear = change is not None and not change.low <= 0 <= change.high
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


def accuracy_name(experiment: Experiment) -> str:
    """What kind of accuracy the rounds have."""
    return TITLES[measured_on(experiment).kind]


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
    """One row a round; accuracies as shares, missing where there is no test set."""
    rows = []
    for record in rounds:
        metrics = record.metrics or {}
        low, high = metrics.get("interval", (None, None))
        rows.append({
            "round": record.round,
            "labeled": record.labeled,
            "accuracy": metrics.get("accuracy"),
            "low": low,
            "high": high,
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
        table.insert(3, "change", table["accuracy"].astype(float).diff())
    return table


def measured_images(record: RoundRecord) -> int | None:
    """How many images a round was measured on; None where it was not."""
    return sum(map(sum, record.metrics["confusion"])) if record.metrics else None
