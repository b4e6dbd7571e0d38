"""What an experiment has shown so far: numbers, the curve, the confusion, the rounds."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from al_core.experiment import Experiment
from ui.charts import accuracy_curve, confusion_heatmap, rounds_table
from ui.training import draw_history


def at_a_glance(experiment: Experiment) -> None:
    """Labelled, unlabelled, round, and accuracy with its interval and its change.

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
        help=f"{skipped:,} more were skipped; they are not asked again.",
    )
    row.metric("Round", f"{done} of {experiment.config.rounds}", width="content")
    if table.empty or pd.isna(table["accuracy"].iloc[-1]):
        row.metric("Test accuracy", "–", width="content", help=_why_no_accuracy(experiment))
        return
    last = table.iloc[-1]
    row.metric(
        "Test accuracy",
        f"{last['accuracy']:.1%}",
        width="content",
        delta=None if pd.isna(last["change"]) else f"{100 * last['change']:+.1f} points",
        delta_description=f"95% interval {100 * last['low']:.1f}–{last['high']:.1%}",
        help="On test images the model never trains on; the change is since the round before, "
        "and 95% is the Wilson interval.",
    )


def gain(experiment: Experiment) -> str:
    """What the rounds have gained, in a sentence; empty where nothing was measured."""
    table = rounds_table(experiment.rounds)
    if len(table) < 2 or table["accuracy"].isna().any():
        return ""
    first, last = table.iloc[0], table.iloc[-1]
    return (
        f"{last['labeled'] - first['labeled']:,} labels took the test accuracy from "
        f"{first['accuracy']:.1%} to {last['accuracy']:.1%} "
        f"(95% interval {100 * last['low']:.1f}–{last['high']:.1%})."
    )


def show_results(experiment: Experiment) -> None:
    """Everything the rounds so far have given, in tabs."""
    if not experiment.rounds:
        return
    table = rounds_table(experiment.rounds)
    curve, confusion, rounds, training = st.tabs(["Accuracy", "Confusion", "Rounds", "Training"])
    with curve:
        if table["accuracy"].isna().all():
            st.info(_why_no_accuracy(experiment), icon=":material/info:")
        else:
            st.altair_chart(accuracy_curve(table), key="accuracy-curve")
            st.caption(
                "Each point is one round; the band is the 95% Wilson interval of the test accuracy."
            )
    with confusion:
        _show_confusion(experiment)
    with rounds:
        shares = ["accuracy", "change", "low", "high", "ece", "disagreement"]
        table[shares] = 100 * table[shares].astype(float)
        st.dataframe(table, hide_index=True, column_config=_COLUMNS)
    with training:
        number = _pick_round(experiment, "training")
        history = experiment.rounds[number].history
        draw_history(history, history[-1][0])


def _show_confusion(experiment: Experiment) -> None:
    number = _pick_round(experiment, "confusion")
    metrics = experiment.rounds[number].metrics
    if metrics is None:
        st.info(_why_no_accuracy(experiment), icon=":material/info:")
        return
    st.altair_chart(confusion_heatmap(metrics["confusion"], experiment.config.class_names))
    st.caption(
        f"Test images by truth and prediction. Negative log-likelihood {metrics['nll']:.3f} nats, "
        f"expected calibration error {metrics['ece']:.1%}."
    )


def _pick_round(experiment: Experiment, what: str) -> int:
    last = len(experiment.rounds) - 1
    if last == 0:
        return 0
    return int(st.slider("Round", 0, last, last, key=f"{what}-{experiment.id}-{last}"))


def _why_no_accuracy(experiment: Experiment) -> str:
    if not experiment.rounds:
        return "Known after the first training."
    return "These images have no test set whose truth is known, so no accuracy can be measured."


def _column(title: str, form: str, note: str | None = None) -> Any:
    return st.column_config.NumberColumn(title, format=form, help=note)


_COLUMNS = {
    "round": _column("Round", "%d"),
    "labeled": _column("Labelled", "localized"),
    "accuracy": _column("Test accuracy", "%.1f%%"),
    "change": _column("Change", "%.1f%%", "Since the round before."),
    "low": _column("95% from", "%.1f%%", "Wilson interval."),
    "high": _column("to", "%.1f%%"),
    "nll": _column("NLL", "%.3f", "Mean negative log-likelihood on the test set, in nats."),
    "ece": _column("ECE", "%.1f%%", "Expected calibration error, 15 bins."),
    "disagreement": _column(
        "Disagreement", "%.0f%%", "Labels of this round that differ from the model's guess."
    ),
    "guesses_shown": st.column_config.CheckboxColumn(
        "Guesses shown", help="Whether a guess was seen before its label was given."
    ),
    "train_seconds": _column("Training", "%.1f s"),
    "evaluate_seconds": _column("Evaluating", "%.1f s"),
    "score_seconds": _column("Scoring", "%.1f s"),
    "select_seconds": _column("Choosing", "%.2f s"),
    "images_scored": _column("Images scored", "localized", "The whole unlabelled pool."),
}
