"""What an experiment has shown so far: numbers at a glance, and tabs with all the rest."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from al_core.experiment import Experiment
from al_core.images import Dataset
from al_core.store import Store
from ui.advice import advise
from ui.charts import accuracy_curve, rounds_table
from ui.mistakes import show_classes, show_mistakes
from ui.pool_map import show_map
from ui.training import draw_history
from ui.yardstick import keep_up, random_labels


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
    what = measured(experiment).capitalize()
    if table.empty or pd.isna(table["accuracy"].iloc[-1]):
        row.metric(what, "–", width="content", help=_why_no_accuracy(experiment))
        return
    last = table.iloc[-1]
    row.metric(
        what,
        f"{last['accuracy']:.1%}",
        width="content",
        delta=None if pd.isna(last["change"]) else f"{100 * last['change']:+.1f} points",
        delta_description=f"95% interval {100 * last['low']:.1f}–{last['high']:.1%}",
        help=f"{_measured_on(experiment)} The change is since the round before, and 95% is the "
        "Wilson interval.",
    )


def measured(experiment: Experiment) -> str:
    """What kind of accuracy the rounds have."""
    return "accuracy on random images" if experiment.config.random_share else "test accuracy"


def _measured_on(experiment: Experiment) -> str:
    metrics = experiment.rounds[-1].metrics or {}
    count = metrics.get("images") or sum(map(sum, metrics["confusion"]))
    if metrics.get("on") != "random":
        return f"Measured on {count:,} test images; the model never trains on them."
    skipped = len(experiment.at_random.intersection(experiment.pool.skipped.tolist()))
    left_out = f"; {skipped:,} were skipped and are left out" if skipped else ""
    return (
        f"Measured on {count:,} images drawn at random from the whole pool and labelled by people"
        f"{left_out}. The model never trains on them, so it is an unbiased estimate."
    )


def gain(experiment: Experiment) -> str:
    """What the rounds have gained, in a sentence; empty where nothing was measured."""
    table = rounds_table(experiment.rounds)
    if len(table) < 2 or table["accuracy"].isna().any():
        return ""
    first, last = table.iloc[0], table.iloc[-1]
    return (
        f"{last['labeled'] - first['labeled']:,} labels took the {measured(experiment)} from "
        f"{first['accuracy']:.1%} to {last['accuracy']:.1%} "
        f"(95% interval {100 * last['low']:.1f}–{last['high']:.1%})."
    )


# A fragment: another tab, or another round, draws nothing else again.
@st.fragment
def show_results(store: Store, experiment: Experiment, dataset: Dataset | None) -> None:
    """Everything the rounds so far have given, in tabs; only the one in sight is drawn."""
    if not experiment.rounds:
        return
    names = ["Accuracy", "Classes", "Mistakes", "Map", "Rounds", "Training"]
    tabs = dict(zip(names, st.tabs(names, key="results", on_change="rerun"), strict=True))
    shown = next(name for name, tab in tabs.items() if tab.open)
    with tabs[shown]:
        unmeasured = experiment.rounds[-1].metrics is None
        match shown:
            case "Accuracy" | "Classes" | "Mistakes" if unmeasured:
                st.info(_why_no_accuracy(experiment), icon=":material/info:")
            case "Accuracy":
                _show_accuracy(experiment, dataset)
            case "Classes":
                show_classes(experiment)
            case "Mistakes":
                number = _pick_round(experiment, "mistakes")
                show_mistakes(experiment, number, dataset.test if dataset else None)
            case "Map":
                show_map(store, experiment.id, dataset)
            case "Rounds":
                _show_rounds(experiment)
            case "Training":
                history = experiment.rounds[_pick_round(experiment, "training")].history
                draw_history(history, history[-1][0])


def _show_accuracy(experiment: Experiment, dataset: Dataset | None) -> None:
    chart = st.container()
    ahead = advise(experiment, dataset)
    at_random = random_labels(experiment)
    curve = accuracy_curve(
        rounds_table(experiment.rounds), measured(experiment).capitalize(), ahead, at_random
    )
    chart.altair_chart(curve, key="accuracy-curve")
    note = (
        f"Each point is one round; the band is its 95% Wilson interval. {_measured_on(experiment)}"
    )
    if ahead is not None:
        note += " Dashed: the curve fitted to the rounds, with the 95% interval of where it leads."
    if at_random is not None:
        note += " Grey: as many labels picked at random, the truth as annotator; one run."
    chart.caption(note)
    keep_up(experiment, dataset)


def _show_rounds(experiment: Experiment) -> None:
    table = rounds_table(experiment.rounds)
    shares = ["accuracy", "change", "low", "high", "ece", "disagreement"]
    table[shares] = 100 * table[shares].astype(float)
    st.dataframe(table, hide_index=True, column_config=_COLUMNS)


def _pick_round(experiment: Experiment, what: str) -> int:
    last = len(experiment.rounds) - 1
    if last == 0:
        return 0
    return int(st.slider("Round", 0, last, last, key=f"{what}-{experiment.id}-{last}"))


def _why_no_accuracy(experiment: Experiment) -> str:
    if not experiment.rounds:
        return "Known after the first training."
    if experiment.config.random_share:
        return "Known once images drawn at random, a share of each batch, have been labelled."
    return (
        "These images have no test set whose truth is known, and no share of each batch is drawn "
        "at random, so no accuracy can be measured."
    )


def _column(title: str, form: str, note: str | None = None) -> Any:
    return st.column_config.NumberColumn(title, format=form, help=note)


_COLUMNS = {
    "round": _column("Round", "%d"),
    "labeled": _column("Labelled", "localized"),
    "accuracy": _column("Accuracy", "%.1f%%", "On the test images, else on random ones."),
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
