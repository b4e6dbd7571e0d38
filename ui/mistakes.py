"""Where the model is wrong: recall by class, the confusion, and the pictures behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from al_core.experiment import Experiment
from al_core.images import ImageSet
from al_core.mistakes import confident_mistakes
from al_core.predictions import load_test_predictions
from ui.charts import confusion_heatmap, recall_curves, recall_table
from ui.wall import picture_wall

MOST = 40  # pictures of mistakes
WORST = 3  # classes that are in colour to begin with


def show_classes(experiment: Experiment) -> None:
    """How well each class is recognised, now and round by round."""
    table = recall_table(experiment.rounds, experiment.config.class_names)
    number = table["round"].max()
    last = table[table["round"] == number].sort_values("recall", ignore_index=True)
    last["labels"] = last["class"].map(_labels_by_class(experiment)).fillna(0)
    last["recall"], last["change"] = 100 * last["recall"], 100 * last["change"]
    if number == 0:
        order = [column for column in _COLUMNS if column != "change"]
        st.dataframe(last, hide_index=True, column_order=order, column_config=_COLUMNS)
        st.caption("The worst first. From the next round on, a curve for each class is here, too.")
        return
    left, right = st.columns(2)
    with right:
        event = st.dataframe(
            last,
            height=360,
            hide_index=True,
            column_order=[*_COLUMNS],
            column_config=_COLUMNS,
            key=f"classes-{experiment.id}-{number}",
            on_select="rerun",
            selection_default={"selection": {"rows": _most_telling(last)}},
        )
    with left:
        lit = last["class"].iloc[event.selection.rows].tolist()
        st.altair_chart(recall_curves(table, lit), key="recall-curves")
    st.caption(
        "Recall: the share of a class's images that the model recognises. Tick the classes to "
        f"see in colour; at first the {WORST} worst, and the one that lost most in the last round."
    )


def _labels_by_class(experiment: Experiment) -> dict[str, int]:
    names = experiment.config.class_names
    return dict(Counter(names[label] for label in experiment.pool.labels.tolist()))


def _most_telling(last: pd.DataFrame) -> list[int]:
    """The rows of the classes recognised worst, and of the one that lost most; worst first."""
    lost = last.index[last["change"] < 0]
    most = last.loc[lost].nsmallest(1, "change").index
    return sorted({*range(min(WORST, len(last))), *most.tolist()})


def show_mistakes(experiment: Experiment, number: int, test: ImageSet | None) -> None:
    """The confusion of round ``number``, and the test images it was most sure of and wrong."""
    metrics = experiment.rounds[number].metrics
    assert metrics is not None
    names = experiment.config.class_names
    key = f"confusion-{experiment.id}-{number}"
    st.altair_chart(
        confusion_heatmap(metrics["confusion"], names),
        key=key,
        on_select=lambda: _pick_cell(key, experiment),
        selection_mode="cell",
    )
    kind = "Random" if metrics.get("on") == "random" else "Test"
    st.caption(
        f"{kind} images by truth and prediction. Negative log-likelihood "
        f"{metrics['nll']:.3f} nats, expected calibration error {metrics['ece']:.1%}."
    )
    if test is not None and kind == "Test":
        _pictures(experiment, number, test)


def _pick_cell(key: str, experiment: Experiment) -> None:
    """A cell of the confusion was clicked: look at its pictures."""
    cells = st.session_state[key].selection.get("cell") or [{}]
    names = experiment.config.class_names
    for of in ("truth", "said"):
        name = cells[0].get(of)
        st.session_state[_key(experiment, of)] = names.index(name) if name in names else None


def _key(experiment: Experiment, of: str) -> str:
    """Where the session keeps the class that is looked at, of the truth or as the model said."""
    return f"mistakes-{experiment.id}-{of}"


def _pictures(experiment: Experiment, number: int, test: ImageSet) -> None:
    names = experiment.config.class_names
    known = np.flatnonzero(test.targets >= 0)
    probs = load_test_predictions(experiment.id, number)
    if probs is None or probs.shape != (len(known), len(names)):
        st.info(
            "What the network of this round said of each test image was not kept.",
            icon=":material/info:",
        )
        return
    with st.container(horizontal=True):
        truth = _one_class("Is", names, _key(experiment, "truth"))
        said = _one_class("The model said", names, _key(experiment, "said"))
    targets = test.targets[known]
    wrong = confident_mistakes(probs, targets, truth, said)
    if not len(wrong):
        st.caption("No such mistake.")
        return
    count = f"{len(wrong):,} mistake{'s' if len(wrong) > 1 else ''}"
    shown = wrong[:MOST]
    first = f", the {MOST} most confident" if len(wrong) > MOST else ", the most confident first"
    st.caption(f"{count}{first}.")
    picture_wall(
        test.images[known[shown]],
        [
            (f"{names[p.argmax()]} {p.max():.0%}", f"is {names[target]}")
            for p, target in zip(probs[shown], targets[shown], strict=True)
        ],
    )


def _one_class(label: str, names: Sequence[str], key: str) -> int | None:
    """The class a person picks, None for all."""
    options = range(len(names))
    return st.selectbox(
        label, options, None, format_func=names.__getitem__, placeholder="All", width=160, key=key
    )


_COLUMNS = {
    "class": st.column_config.TextColumn("Class"),
    "recall": st.column_config.ProgressColumn(
        "Recall", format="%.1f%%", min_value=0, max_value=100
    ),
    "change": st.column_config.NumberColumn(
        "Change", format="%+.1f", help="Since the round before, in points."
    ),
    "labels": st.column_config.NumberColumn("Labels", format="localized"),
    "images": st.column_config.NumberColumn(
        "Measured on", format="localized", help="Images of this class that measured it."
    ),
}
