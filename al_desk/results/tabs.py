"""What an experiment has shown so far, in tabs."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from safetensors import SafetensorError

from al_core.analysis.curves import measured_on, title_of
from al_core.analysis.stopping import trained_alike
from al_core.config import LEARNED
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.loop.measured_anew import where_classes_changed
from al_core.models.learned_weights import card, learned_path
from al_core.simulation.random_baseline import against_random
from al_core.store.store import Store
from al_desk.results.encoders import show_encoders
from al_desk.results.measures import (
    INTERVALS,
    by_words,
    choose_measure,
    commonest,
    leads,
    measured_in_words,
    why_no_accuracy,
)
from al_desk.results.mistakes import show_classes, show_mistakes
from al_desk.results.pool_map import show_map
from al_desk.results.random_baseline import in_training, random_baseline, show_progress
from al_desk.results.rounds import rounds_table, show_rounds
from al_desk.results.stopping import advise
from al_desk.widgets.charts import Beside, accuracy_curve
from al_desk.widgets.formatting import duration, plain, show_info
from al_desk.widgets.job_progress import draw_history


# A fragment: choosing another tab or round redraws nothing else.
@st.fragment
def show_results(store: Store, experiment: Experiment, dataset: Dataset | None) -> None:
    """Everything the rounds have given so far, in tabs; only the open one is drawn."""
    if not experiment.rounds:
        return
    names = ["Accuracy", "Classes", "Mistakes", "Map", "Rounds", "Training"]
    if experiment.config.model.head == "linear":
        names.append("Encoders")
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
                show_rounds(experiment)
            case "Encoders":
                show_encoders(store, experiment, dataset)
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
    changed = where_classes_changed(experiment)
    labeled = {record.round: record.labeled for record in experiment.rounds}
    rows = [{"labeled": labeled[number], "words": what} for number, what in changed]
    changes = pd.DataFrame(rows) if rows else None
    floor = commonest(experiment) if measure == "accuracy" else None
    words = by_words(experiment, measure)
    curve = accuracy_curve(drawn, title_of(measure, measured_on(experiment).kind),
                           Beside(ahead, baseline, floor, words and words[0], changes))  # fmt: skip
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
    if changed:
        told = "; ".join(f"{plain(what)} (round {number})" for number, what in changed)
        note += (
            f" The classes changed: {told}. All rounds are measured by the classes as they are now."
        )
    if floor is not None:
        note += " Dotted: the accuracy of answering the commonest class every time."
    if words is not None:
        note += f" {words[1]}"
    if baseline is not None:
        note += " Grey: the random baseline, trained once on as many labels chosen at random."
    chart.caption(note)
    if told := against_random(experiment, measure):
        st.markdown(f":material/casino: {told}")
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


def _pick_round(experiment: Experiment, what: str) -> int:
    last = len(experiment.rounds) - 1
    if last == 0:
        return 0
    return int(st.slider("Round", 0, last, last, key=f"{what}-{experiment.id}-{last}"))
