"""Where the model is wrong: recall by class, the confusion, and the pictures behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from al_core.analysis.curves import measured_on
from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import load_predictions, load_test_predictions
from al_core.images.dataset import Dataset
from al_core.models.metrics import confident_mistakes
from al_desk.widgets.charts import HIGH, confusion_heatmap, recall_curves, recall_table
from al_desk.widgets.picture_wall import picture_wall

# Images, the positions of those that measure, their truth, and what the model said of them.
Seen = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]

ROW = 35  # pixels, of a table
MOST = 40  # pictures of mistakes
WORST = 3  # classes that are in colour to begin with


def show_classes(experiment: Experiment) -> None:
    """How well each class is recognised, now and round by round."""
    table = recall_table(experiment.rounds, experiment.config.class_names)
    number = table["round"].max()
    # What is surely bad, and not what a few images happen to say.
    last = table[table["round"] == number].sort_values(["high", "recall"], ignore_index=True)
    last["labels"] = last["class"].map(_labels_by_class(experiment)).fillna(0)
    shares = ["recall", "low", "high", "change"]
    last[shares] = 100 * last[shares]
    look = {
        "hide_index": True,
        "column_config": _COLUMNS,
        "placeholder": "–",
        "height": min(ROW * (len(last) + 1) + 3, HIGH),  # pixels
    }
    note = (
        "Recall: the share of a class's images that the model recognises, with its 95% Wilson "
        "interval; on few images it is wide. First come the classes that are surely not recognised "
        "well."
    )
    if number == 0:
        order = [column for column in _COLUMNS if column != "change"]
        st.dataframe(last, column_order=order, **look)
        st.caption(f"{note} From the next round on, a curve for each class is here, too.")
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
        f"{note} Tick the classes to see in colour; at first the {WORST} worst, and the one that "
        "clearly lost most in the last round."
    )


def _labels_by_class(experiment: Experiment) -> dict[str, int]:
    names = experiment.config.class_names
    return dict(Counter(names[label] for label in experiment.pool.labels.tolist()))


def _most_telling(last: pd.DataFrame) -> list[int]:
    """The rows of the classes recognised worst, and of the one that lost most, by more than its
    interval; worst first."""
    lost = last.index[last["recall"] - last["change"] > last["high"]]
    most = last.loc[lost].nsmallest(1, "change").index
    return sorted({*range(min(WORST, len(last))), *most.tolist()})


def show_mistakes(experiment: Experiment, number: int, dataset: Dataset | None) -> None:
    """The confusion of round ``number``, and the images it was most sure of and wrong."""
    metrics = experiment.rounds[number].metrics
    if metrics is None:
        st.info("Nothing was measured in this round.", icon=":material/info:")
        return
    names = experiment.config.class_names
    key = f"confusion-{experiment.id}-{number}"
    st.altair_chart(
        confusion_heatmap(metrics["confusion"], names),
        key=key,
        on_select=lambda: _pick_cell(key, experiment),
        selection_mode="cell",
    )
    kind = measured_on(experiment).kind
    truth = "truth" if kind == "test" else "given label"
    st.caption(
        f"{kind.capitalize()} images by {truth} and prediction. Negative log-likelihood "
        f"{metrics['nll']:.3f} nats, expected calibration error {metrics['ece']:.1%}."
    )
    if dataset is None:
        return
    if kind == "test":
        seen = _of_test_images(experiment, number, dataset)
    else:
        seen = _of_random_images(experiment, number, dataset)
    if seen is not None:
        _pictures(experiment, *seen)
    elif kind == "random" and number < len(experiment.rounds) - 1:
        _say("What a model said of the random images is kept for the latest round alone.")
    else:
        _say("What the model of this round said of each image was not kept.")


def _say(sentence: str) -> None:
    st.info(sentence, icon=":material/info:")


def _of_test_images(experiment: Experiment, number: int, dataset: Dataset) -> Seen | None:
    known = np.flatnonzero(dataset.test.targets >= 0)
    probs = load_test_predictions(experiment.folder, number)
    if probs is None or probs.shape != (len(known), len(experiment.config.class_names)):
        return None
    return dataset.test.images, known, dataset.test.targets[known], probs


def _of_random_images(experiment: Experiment, number: int, dataset: Dataset) -> Seen | None:
    """Of the latest round alone: what earlier ones said of the pool is deleted."""
    said = load_predictions(experiment.folder, number)
    if said is None or number < len(experiment.rounds) - 1:
        return None
    pool = experiment.pool_of(number)
    is_random = np.isin(pool.labeled, list(experiment.at_random))
    images = pool.labeled[is_random]
    return dataset.train.images, images, pool.labels[is_random], said.probs[images]


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


def _pictures(
    experiment: Experiment,
    images: NDArray[np.uint8],
    places: NDArray[np.int64],
    targets: NDArray[np.int64],
    probs: NDArray[np.floating],
) -> None:
    names = experiment.config.class_names
    with st.container(horizontal=True):
        truth = _one_class("Is", names, _key(experiment, "truth"))
        said = _one_class("The model said", names, _key(experiment, "said"))
    wrong = confident_mistakes(probs, targets, truth, said)
    if not len(wrong):
        st.caption("No such mistake.")
        return
    count = f"{len(wrong):,} mistake{'s' if len(wrong) > 1 else ''}"
    shown = wrong[:MOST]
    first = f", the {MOST} most confident" if len(wrong) > MOST else ", the most confident first"
    st.caption(f"{count}{first}.")
    picture_wall(
        images[places[shown]],
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
    "recall": st.column_config.NumberColumn("Recall", format="%.1f%%"),
    "low": st.column_config.NumberColumn("95% from", format="%.1f%%", help="Wilson interval."),
    "high": st.column_config.NumberColumn("to", format="%.1f%%"),
    "change": st.column_config.NumberColumn(
        "Change", format="%+.1f", help="Since the round before, in points."
    ),
    "labels": st.column_config.NumberColumn("Labels", format="localized"),
    "images": st.column_config.NumberColumn(
        "Measured on", format="localized", help="Images of this class that measured it."
    ),
}
