"""What an experiment has shown so far, in tabs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import streamlit as st
from safetensors import SafetensorError

from al_core.analysis.curves import measured_on, title_of
from al_core.analysis.stopping import trained_alike
from al_core.config import LEARNED
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.models.learned_weights import card, learned_path
from al_core.models.metrics import MEASURES
from al_core.simulation.random_baseline import against_random
from al_core.store.records import RoundRecord
from al_core.store.store import Store
from al_desk.results.headline import (
    INTERVALS,
    choose_measure,
    commonest,
    leads,
    measured_in_words,
    rounds_table,
    why_no_accuracy,
)
from al_desk.results.mistakes import show_classes, show_mistakes
from al_desk.results.pool_map import show_map
from al_desk.results.random_baseline import in_training, random_baseline, show_progress
from al_desk.results.stopping import advise
from al_desk.widgets.charts import Beside, accuracy_curve
from al_desk.widgets.formatting import duration, number_column, show_info
from al_desk.widgets.job_progress import draw_history


# A fragment: choosing another tab or round redraws nothing else.
@st.fragment
def show_results(store: Store, experiment: Experiment, dataset: Dataset | None) -> None:
    """Everything the rounds have given so far, in tabs; only the open one is drawn."""
    if not experiment.rounds:
        return
    names = ["Accuracy", "Classes", "Mistakes", "Map", "Rounds", "Training"]
    tabs = dict(zip(names, st.tabs(names, key="results", on_change=st.rerun), strict=True))
    shown = next(name for name, tab in tabs.items() if tab.open)
    with tabs[shown]:
        unmeasured = experiment.rounds[-1].metrics is None
        match shown:
            case "Accuracy" | "Classes" | "Mistakes" if unmeasured:
                show_info(why_no_accuracy(experiment))
            case "Accuracy":
                _show_accuracy(experiment, dataset)
            case "Classes":
                show_classes(experiment)
            case "Mistakes":
                show_mistakes(experiment, _pick_round(experiment, "mistakes"), dataset)
            case "Map":
                show_map(store, experiment.id, dataset)
            case "Rounds":
                _show_rounds(experiment)
            case "Training":
                history = experiment.rounds[_pick_round(experiment, "training")].history
                if history:
                    draw_history(history, history[-1][0])
                else:
                    words = "A linear head is fitted to all labels at once: there are no epochs."
                    st.caption(f"{words} {_how_learned(experiment)}")


def _show_accuracy(experiment: Experiment, dataset: Dataset | None) -> None:
    measure = choose_measure(leads(experiment))
    chart = st.container()
    ahead = advise(experiment, dataset, measure)
    training = in_training(experiment)
    baseline = random_baseline(experiment, measure)
    table = rounds_table(experiment.rounds)
    names = {measure: "share", f"{measure}_low": "low", f"{measure}_high": "high"}
    drawn = table[["round", "labeled", "images", *names]].rename(columns=names)
    floor = commonest(experiment) if measure == "accuracy" else None
    curve = accuracy_curve(drawn, title_of(measure, measured_on(experiment).kind),
                           Beside(ahead, baseline, floor))  # fmt: skip
    chart.altair_chart(curve, key="accuracy-curve")
    note = (
        f"Each point is one round, with its interval. {INTERVALS[measure]} "
        f"{measured_in_words(experiment, every_round=True)}"
    )
    if len(table) > 1:
        note += (
            " The intervals reflect the choice of these images only: another training on the same "
            "labels would give a slightly different result, too."
        )
    if (alike := trained_alike(experiment.rounds)) != [*experiment.rounds]:
        note += (
            f" The settings of the training changed before round {alike[0].round}: what labels "
            "gain, and where the curve leads, is judged by the rounds since."
        )
    if ahead is not None:
        note += (
            " Dashed: an inverse power law (Cortes et al., 1993) fitted to the rounds, with a 95% "
            "interval."
        )
    if floor is not None:
        note += " Dotted: the accuracy of answering the commonest class every time."
    if baseline is not None:
        note += " Grey: the random baseline, trained once on as many labels chosen at random."
    chart.caption(note)
    if words := against_random(experiment, measure):
        st.markdown(f":material/casino: {words}")
    show_progress(experiment, training)


def _how_learned(experiment: Experiment) -> str:
    """How the features of an experiment were learned from its images, in a sentence; empty where
    they were not."""
    if experiment.config.model.weights != LEARNED:
        return ""
    try:
        about = card(learned_path(experiment.fingerprint))
        return (
            f"Its features were learned from these images without labels, by {about['method']}: "
            f"{float(about['epochs']):.1f} passes over them, each in {about['views']} views, in "
            f"{duration(float(about['seconds']))} ({about['device']})."
        )
    except (OSError, KeyError, ValueError, SafetensorError):
        return "Its features were learned from these images, but their file is missing or damaged."


def _show_rounds(experiment: Experiment) -> None:
    table = rounds_table(experiment.rounds)
    shares = [f"{name}{part}" for name in MEASURES for part in ("", "_change", "_low", "_high")]
    shares += ["ece", "disagreement"]
    table[shares] = 100 * table[shares].astype(float)
    changes = _changes(experiment.rounds)
    if any(changes):
        table["settings"] = changes
    st.dataframe(table, hide_index=True, placeholder="–", column_config=_COLUMNS)


def _changes(rounds: Sequence[RoundRecord]) -> list[str]:
    """For each round, the settings that differ from those of the round before, in words."""
    used = [_flat(record.log_position.settings) if record.log_position else {} for record in rounds]
    changes = [""]
    for before, now in pairwise(used):
        changed = [name for name in now if name in before and now[name] != before[name]]
        changes.append(", ".join(f"{name.replace('_', ' ')} {now[name]}" for name in changed))
    return changes[: len(rounds)]


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _pick_round(experiment: Experiment, what: str) -> int:
    last = len(experiment.rounds) - 1
    if last == 0:
        return 0
    return int(st.slider("Round", 0, last, last, key=f"{what}-{experiment.id}-{last}"))


_COLUMNS = {
    "round": number_column("Round", "%d"),
    "labeled": number_column("Labelled", "localized"),
    **{
        f"{measure}{part}": number_column(f"{title}{words}", form, note)
        for measure, title in MEASURES.items()
        for part, words, form, note in (
            ("", "", "%.1f%%", "On the test images, else on held-out ones."),
            ("_change", ", change", "%+.1f", "Since the round before, in points."),
            ("_low", ", 95% from", "%.1f%%", INTERVALS[measure]),
            ("_high", ", 95% to", "%.1f%%", INTERVALS[measure]),
        )
    },
    "images": number_column("Measured on", "localized", "Images the accuracy was measured on."),
    "nll": number_column(
        "NLL", "%.3f", "Mean negative log-likelihood on the same images, in nats."
    ),
    "ece": number_column("ECE", "%.1f%%", "Expected calibration error, 15 bins."),
    "disagreement": number_column(
        "Disagreement", "%.0f%%", "Labels of this round that differ from the model's guess."
    ),
    "guesses_shown": st.column_config.CheckboxColumn(
        "Guesses shown", help="Whether a guess was visible before its label was given."
    ),
    "power": number_column(
        "Class weights", "%.1f", "The power of the inverse number of labels that weighted a class."
    ),
    "train_seconds": number_column("Training", "%.1f s"),
    "evaluate_seconds": number_column("Evaluating", "%.1f s"),
    "score_seconds": number_column("Scoring", "%.1f s"),
    "select_seconds": number_column("Choosing", "%.2f s"),
    "settings": st.column_config.TextColumn(
        "Settings changed", help="Since the round before; each round's log says all of them."
    ),
    "images_scored": number_column("Images scored", "localized", "The whole unlabelled pool."),
}
