"""Where the model is wrong: recall by class, the confusion matrix, and the pictures behind it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from al_core.analysis.curves import measured_on
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset, ImageSet
from al_core.loop.measured_anew import Seen, seen_by
from al_core.models.metrics import confident_mistakes
from al_core.names import counted
from al_core.store.records import RoundRecord
from al_desk.results.headline import show_gaps
from al_desk.routes.pictures import shown
from al_desk.widgets.charts import (
    HIGH,
    confusion_heatmap,
    recall_curves,
    recall_table,
    reliability_diagram,
)
from al_desk.widgets.formatting import number_column, show_info
from al_desk.widgets.picture_wall import picture_wall

ROW = 35  # pixels of a table row
MOST = 40  # pictures of mistakes
WORST = 3  # classes that are in colour at first


def show_classes(experiment: Experiment) -> None:
    """How well each class is recognised, now and in each round."""
    show_gaps(experiment)
    names = experiment.classes.named
    table = recall_table(experiment.rounds, names)
    number = table["round"].max()
    # By the upper bound: the classes that are certainly bad, not those with only a few images.
    last = table[table["round"] == number].sort_values(["high", "recall"], ignore_index=True)
    counts = Counter(names[label] for label in experiment.pool.labels.tolist())
    last["labels"] = last["class"].map(dict(counts)).fillna(0)
    shares = ["recall", "low", "high", "change"]
    last[shares] = 100 * last[shares]
    look: dict[str, Any] = {"hide_index": True, "column_config": _COLUMNS, "placeholder": "–"}
    look["height"] = min(ROW * (len(last) + 1) + 3, HIGH)  # pixels
    note = (
        "Recall: the share of a class's images that the model recognises, with its 95% Wilson "
        "interval, which is wide for few images. The classes that are certainly recognised worst "
        "come first."
    )
    if number == 0:
        order = [column for column in _COLUMNS if column != "change"]
        st.dataframe(last, column_order=order, **look)
        st.caption(f"{note} From the next round on, there is a curve for each class.")
        return
    chart = st.container()
    event = st.dataframe(
        last,
        column_order=[*_COLUMNS],
        key=f"classes-{experiment.id}-{number}",
        on_select="rerun",
        selection_default={"selection": {"rows": _most_telling(last)}},
        **look,
    )
    lit = last["class"].iloc[event.selection.rows].tolist()
    chart.altair_chart(recall_curves(table, lit), key="recall-curves")
    st.caption(
        f"{note} Tick the classes to see in colour; at first these are the {WORST} worst, and the "
        "one that clearly lost most in the last round."
    )


def _most_telling(last: pd.DataFrame) -> list[int]:
    """The rows of the classes recognised worst, and of the one that lost most, if that is more than
    its interval; worst first."""
    lost = last.index[last["recall"] - last["change"] > last["high"]]
    most = last.loc[lost].nsmallest(1, "change").index
    return sorted({*range(min(WORST, len(last))), *most.tolist()})


def show_mistakes(experiment: Experiment, number: int, dataset: Dataset | None) -> None:
    """The confusion matrix of round ``number``, and its most confident mistakes."""
    metrics = experiment.rounds[number].metrics
    if metrics is None:
        show_info("Nothing was measured in this round.")
        return
    named = experiment.classes.named
    key = f"confusion-{experiment.id}-{number}"
    matrix, diagram = st.columns([3, 2])
    counts = np.array(metrics["confusion"])[np.ix_([*named], [*named])]
    matrix.altair_chart(
        confusion_heatmap(counts.tolist(), [*named.values()]),
        key=key,
        on_select=lambda: _pick_cell(key, experiment),
        selection_mode="cell",
    )
    if reliability := metrics.get("reliability"):
        diagram.altair_chart(reliability_diagram(reliability), key=f"reliability-{number}")
    kind = measured_on(experiment).kind
    truth = "truth" if kind == "test" else "given label"
    st.caption(
        f"{kind.capitalize()} images by {truth} and prediction. Negative log-likelihood "
        f"{metrics['nll']:.3f} nats, expected calibration error {metrics['ece']:.1%}."
        f"{_calibrated(experiment.rounds[number])} On the dashed line, predictions are right as "
        "often as they claim."
    )
    if dataset is None:
        return
    seen = seen_by(experiment, number, dataset)
    if seen is None:
        show_info("The predictions of this round were not kept, or the test images have changed.")
    else:
        _pictures(experiment, dataset.test if seen.on == "test" else dataset.train, seen.known)


def _calibrated(record: RoundRecord) -> str:
    """How the probabilities of a round were calibrated, in a sentence; empty if they were not."""
    found = {
        "cross-validation": "found by cross-validation on the labels",
        "hold-out": "found on a third of the labels by a network that had learned the others",
        "earlier hold-out": "found so in an earlier round, which had more than half of the labels",
        "last batch": "found on the labels of the last batch, which the model had not seen",
    }
    if record.calibrated_by not in found:
        return ""
    how = found[record.calibrated_by]
    return f" Calibrated with the temperature {record.temperature:.2f}, {how}."


def _pick_cell(key: str, experiment: Experiment) -> None:
    """A cell of the confusion matrix was clicked: show its pictures."""
    cells = st.session_state[key].selection.get("cell") or [{}]
    numbers = experiment.classes.numbers
    for of in ("truth", "prediction"):
        st.session_state[_key(experiment, of)] = numbers.get(cells[0].get(of, ""))


def _key(experiment: Experiment, of: str) -> str:
    """Where the session keeps the class that is looked at, as the truth or as the prediction."""
    return f"mistakes-{experiment.id}-{of}"


def _pictures(experiment: Experiment, images: ImageSet, seen: Seen) -> None:
    places, targets, probs = seen.images, seen.targets, seen.probs
    names = experiment.classes.named
    with st.container(horizontal=True):
        truth, predicted = (
            st.selectbox(
                of.capitalize(),
                [*names],
                None,
                format_func=names.__getitem__,
                placeholder="All",
                width=160,
                key=_key(experiment, of),
            )
            for of in ("truth", "prediction")
        )
    wrong = confident_mistakes(probs, targets, truth, predicted)
    if not len(wrong):
        st.caption("No such mistake.")
        return
    count = counted(len(wrong), "mistake")
    first_ones = wrong[:MOST]
    first = f", the {MOST} most confident" if len(wrong) > MOST else ", the most confident first"
    st.caption(f"{count}{first}.")
    picture_wall(
        experiment.id,
        shown(images, places[first_ones].tolist()),
        [
            (f"{names[p.argmax()]} {p.max():.0%}", f"is {names[target]}")
            for p, target in zip(probs[first_ones], targets[first_ones], strict=True)
        ],
        f"mistakes-{experiment.id}",
    )


_COLUMNS = {
    "class": st.column_config.TextColumn("Class"),
    "recall": number_column("Recall", "%.1f%%"),
    "low": number_column("95% from", "%.1f%%", "Wilson interval."),
    "high": number_column("to", "%.1f%%"),
    "change": number_column("Change", "%+.1f", "Since the round before, in points."),
    "labels": number_column("Labels", "localized"),
    "images": number_column("Measured on", "localized", "Images of this class it was measured on."),
}
