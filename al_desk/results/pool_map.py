"""The map of the pool: drawn on request, coloured by choice, with the pictures under a brush."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from al_core.analysis.pool_map import PoolMap, load_map, map_pool
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.predictions import PoolPredictions, load_predictions
from al_core.images.dataset import Dataset
from al_core.names import counted
from al_core.progress import Work
from al_core.store.store import Store
from al_desk.routes.pictures import shown
from al_desk.server.resources import loader
from al_desk.widgets.buttons import button
from al_desk.widgets.charts import COLOURS, GREY, HIGH, STATES, pool_scatter
from al_desk.widgets.formatting import errors_shown, show_error
from al_desk.widgets.job_progress import under_way, watch
from al_desk.widgets.picture_wall import picture_wall

MOST = 60  # pictures under the brush
GUESS, LABEL, CONFIDENCE = "Model's guess", "Given label", "Confidence"
NO_LABEL, HIDDEN = "No label", "Hidden until labelled"


@errors_shown()
def show_map(store: Store, experiment_id: int, dataset: Dataset | None) -> None:
    """The map that was drawn last, and a button to draw it for the pool as it is now."""
    drawing = under_way(loader(), _key(experiment_id))
    experiment = open_experiment(store, experiment_id)  # a batch may have been chosen just now
    predictions = load_predictions(experiment.folder, experiment.next_round - 1)
    drawn = load_map(experiment.folder)
    if predictions and drawn:
        drawn = drawn.only(predictions.known_to(experiment))
        predictions = predictions.by_classes_of(experiment)
    if predictions and drawn and len(drawn.images):
        _show(experiment, drawn, predictions, dataset)
    else:
        st.write(
            "Images that the model finds similar lie close together: see what it confuses, what it "
            "has not seen yet, and where the batch comes from."
        )
    if drawing is not None:
        watch(drawing, "Map of the pool", brief=True)
    elif dataset is not None:
        label = "Draw the map" if drawn is None else "Draw it for the pool as it is now"
        _offer_to_draw(store, experiment_id, dataset, label)


def _offer_to_draw(store: Store, experiment_id: int, dataset: Dataset, label: str) -> None:
    key = _key(experiment_id)

    def draw() -> None:
        loader().submit(key, lambda: _map(store, experiment_id, dataset))

    button(label, draw, icon=":material/scatter_plot:")
    job = loader().job(key)
    if job is not None and job.error:
        show_error(job.error)


def _key(experiment_id: int) -> str:
    return f"map of experiment {experiment_id}"


def _map(store: Store, experiment_id: int, dataset: Dataset) -> Work[None]:
    from al_core.loop.advance import latest_predictions
    from al_core.models.hardware import find_hardware

    experiment = open_experiment(store, experiment_id)
    predictions = yield from latest_predictions(experiment, dataset, find_hardware())
    yield from map_pool(experiment, predictions)


def _show(
    experiment: Experiment, drawn: PoolMap, predictions: PoolPredictions, dataset: Dataset | None
) -> None:
    names = [*experiment.classes.named.values()]
    table = map_table(experiment, drawn, predictions)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.segmented_control(
            "Colour", [GUESS, LABEL, CONFIDENCE], default=GUESS, required=True, key="map-colour"
        )
        lit = list(names)
        if len(names) > len(COLOURS) and by != CONFIDENCE:
            common = table[by].value_counts().index.intersection([*names], sort=False)
            lit = st.multiselect(
                "Classes in colour",
                names,
                common[: len(COLOURS)].tolist(),
                max_selections=len(COLOURS),
                key=f"map-classes-{experiment.id}-{by}",
            )
    left, right = st.columns([3, 2])
    points, colour = _coloured(table, by, lit)
    outline = "white" if st.context.theme.type == "dark" else "black"
    with left:
        event = st.altair_chart(
            pool_scatter(points, by, colour, outline),
            key=f"map-{experiment.id}",
            on_select="rerun",
            selection_mode="brush",
        )
    with right.container(height=HIGH, border=False):
        _brushed(experiment, table, event.selection.get("brush") or {}, dataset)
    st.caption(_caption(experiment, drawn, predictions.model))


def asked_about(experiment: Experiment) -> set[int]:
    """The images that wait for a label; a finished experiment has a batch that nobody is given."""
    return set() if experiment.phase is Phase.FINISHED else experiment.open_images


def _caption(experiment: Experiment, drawn: PoolMap, model: int) -> str:
    count, missing = len(drawn.images), len(asked_about(experiment) - set(drawn.images.tolist()))
    words = f"{count:,} of {experiment.pool_size:,} images, by t-SNE of the embeddings from the "
    words += f"network of round {drawn.model}; only nearness has a meaning."
    if drawn.model != model:
        words += f" The guesses are those of round {model}."
    if missing:
        words += f" Chosen since it was drawn, and not on it: {missing:,}."
    return words


def map_table(experiment: Experiment, drawn: PoolMap, predictions: PoolPredictions) -> pd.DataFrame:
    """One row per image of the map; what matters more comes later, and is drawn on top.

    The guess for an image that waits for its label is left out, so that it does not influence the
    annotator, unless the experiment shows guesses.
    """
    names = np.array([*experiment.config.class_names, NO_LABEL, HIDDEN], dtype=object)
    answers = experiment.pool.answers
    labels = [answers[image].label if image in answers else None for image in drawn.images.tolist()]
    label = np.array([len(names) - 2 if label is None else label for label in labels])
    is_chosen = np.isin(drawn.images, list(asked_about(experiment)))
    is_labeled = label < len(names) - 2
    probs = predictions.probs[drawn.images]
    guess = probs.argmax(1)
    if not experiment.config.show_guesses:
        guess[is_chosen & ~is_labeled] = len(names) - 1
    rank = np.where(is_chosen, 2, is_labeled)
    table = pd.DataFrame({
        "x": drawn.points[:, 0].round(1),
        "y": drawn.points[:, 1].round(1),
        "image": drawn.images.astype(np.int32),
        "rank": rank,
        "state": pd.Categorical.from_codes(rank, pd.Index(STATES)),
        GUESS: names[guess],
        LABEL: names[label],
        CONFIDENCE: probs.max(1).round(2),
    })  # fmt: skip
    return table.sort_values(["rank", "image"])


def _coloured(table: pd.DataFrame, by: str, lit: Sequence[str]) -> tuple[pd.DataFrame, alt.Color]:
    """What the browser needs of ``table``, and the colours; classes not ``lit`` are grey."""
    points = table[["x", "y", "image", "state"]].assign(colour=table[by])
    if by == CONFIDENCE:
        scale = alt.Scale(domain=[0, 1], range=["#d62728", "#f2b134", "#5b9bd5"], interpolate="rgb")
        legend = alt.Legend(
            title=None, format="%", orient="bottom", gradientOpacity=1, values=[0, 0.5, 1]
        )
        return points, alt.Color("colour:Q", scale=scale, legend=legend)
    others = sorted(set(points["colour"]) - set(lit))
    grey = others if len(others) <= 2 else ["Other"]
    shown = points["colour"].where(points["colour"].isin([*lit, *grey]), "Other")
    points["colour"] = shown.astype("category")
    scale = alt.Scale(domain=[*lit, *grey], range=[*COLOURS[: len(lit)], *[GREY] * len(grey)])
    legend = alt.Legend(
        title=None, orient="bottom", columns=4, symbolSize=100, symbolStrokeWidth=0, symbolOpacity=1
    )
    return points, alt.Color("colour:N", scale=scale, sort=[*lit, *grey], legend=legend)


def _brushed(
    experiment: Experiment,
    table: pd.DataFrame,
    brush: dict[str, list[float]],
    dataset: Dataset | None,
) -> None:
    """The pictures under the brush: chosen, then labelled, then the least confident first."""
    inside = table
    for axis, (low, high) in brush.items():
        inside = inside[inside[axis].between(low, high)]
    if not brush or inside.empty or dataset is None:
        st.info("Drag over the map to see its pictures.", icon=":material/select:")
        return
    first = inside.sort_values(["rank", CONFIDENCE], ascending=[False, True]).head(MOST)
    more = f", {MOST} of them shown" if len(inside) > MOST else ""
    st.caption(f"{counted(len(inside), 'image')}{more}.")
    picture_wall(
        experiment.id,
        shown(dataset.train, first["image"].tolist()),
        [_lines(row) for row in first.to_dict("records")],
        f"under-the-brush-{experiment.id}",
    )


def _lines(row: dict[Any, Any]) -> tuple[str, str]:
    """The two lines below a picture."""
    if row[LABEL] != NO_LABEL:
        return row[LABEL], "label"
    if row[GUESS] == HIDDEN:
        return "?", "waits for its label"
    return f"{row[GUESS]} {row[CONFIDENCE]:.0%}", "guess"
