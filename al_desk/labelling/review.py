"""Second thoughts: everything labelled so far, the most suspicious first, one key to relabel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from al_core.analysis.label_quality import agreement, disagrees_strongly, self_confidence
from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import load_predictions
from al_core.names import counted
from al_core.store.records import REASONS, Annotation
from al_desk.context import DeskContext
from al_desk.grid.label_grid import label_grid
from al_desk.grid.tiles import frame_of, grid_of
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import errors_shown, number_column

PAGE = 60  # images shown at once
SKIPPED = "Skipped"


def _skipped(reason: str | None) -> str:
    return f"{SKIPPED}: {reason}" if reason else SKIPPED


SKIPS = [SKIPPED, *map(_skipped, REASONS)]
T = TypeVar("T")
STATE = "review"  # session state: what is shown, so that it stays while labels change


@dataclass(frozen=True, slots=True)
class Filters:
    """Which images to show; None for all."""

    class_name: str | None
    round: int | None
    annotator: str | None
    strongly: bool
    second_opinion: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """The images that matched when the log was last read, in order, with the model's guess for
    each; no guesses without a model."""

    experiment: Experiment
    filters: Filters
    images: list[int]
    guesses: dict[int, tuple[int, float]]


@st.fragment
@errors_shown()
def review(context: DeskContext) -> None:
    """Filters, the grid, and how far people agree."""
    shown: Shown | None = st.session_state.get(STATE)
    if shown is not None and shown.experiment.id != context.experiment.id:
        shown = None
    filters = _choose_filters(shown.experiment if shown else context.reread())
    if shown is None or shown.filters != filters:
        shown = st.session_state[STATE] = _find(context.reread(), filters, context.annotator)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_count(shown))
        button("Look again", leave_review, icon=":material/refresh:", help="After many changes.")
    if shown.images:
        page = 0
        if len(shown.images) > PAGE:
            page = st.pagination(-(-len(shown.images) // PAGE), key=f"page-{hash(filters)}") - 1
        _grid(context, shown, shown.images[PAGE * page : PAGE * (page + 1)])
    # With second opinions the agreement grows with each label.
    _show_agreement(context.reread() if filters.second_opinion else shown.experiment)


def leave_review() -> None:
    """Have the next visit read the labels again."""
    st.session_state.pop(STATE, None)


def _choose_filters(experiment: Experiment) -> Filters:
    answers = experiment.pool.answers.values()
    row = st.container(horizontal=True, vertical_alignment="bottom")
    class_name = _one_of(row, "Class", [*experiment.classes.named.values(), *SKIPS])
    number = _one_of(row, "Round", sorted({a.round for a in answers}))
    annotator = _one_of(row, "Annotator", sorted({a.annotator for a in answers}))
    strongly = row.toggle(
        "The model disagrees strongly",
        disabled=not experiment.rounds,
        help="It is as sure of another class as it is on average for images of that class: "
        "confident learning (Northcutt et al., 2021).",
    )
    second = row.toggle(
        "Second opinion",
        help="Hides the labels of others, so that you label independently. Where two people "
        "labelled the same images, their agreement is shown below.",
    )
    return Filters(class_name, number, annotator, strongly, second)


def _one_of(row: DeltaGenerator, label: str, options: Sequence[T]) -> T | None:
    """The option that the person picks, None for all."""
    key = f"review-{label.lower()}"
    return row.selectbox(label, options, None, placeholder="All", width=160, key=key)


def _find(experiment: Experiment, filters: Filters, annotator: str) -> Shown:
    answers = list(experiment.pool.answers.values())
    images = np.array([answer.image for answer in answers], dtype=np.int64)
    labels = np.array([-1 if a.label is None else a.label for a in answers], dtype=np.int64)
    matches = np.array([_match(experiment, answer, filters, annotator) for answer in answers], bool)
    predictions = load_predictions(experiment.folder, experiment.next_round - 1)
    known = np.zeros(len(images), dtype=bool)
    if predictions is not None:
        known = predictions.known_to(experiment)[images]
        predictions = predictions.by_classes_of(experiment)
    if predictions is None or not known.any():
        return Shown(experiment, filters, images[matches].tolist()[::-1], {})
    probs = predictions.probs[np.where(known, images, 0)]
    # Of a picture that has come or changed since, the model has said nothing.
    order, strong = _most_suspicious_first(probs, np.where(known, labels, -1))
    guesses = {
        image: (int(p.argmax()), float(p.max()))
        for image, p in zip(images[known].tolist(), probs[known], strict=True)
    }
    wanted = matches & strong if filters.strongly else matches
    return Shown(experiment, filters, images[order[wanted[order]]].tolist(), guesses)


def _match(experiment: Experiment, answer: Annotation, filters: Filters, annotator: str) -> bool:
    # Who asks for what was skipped means all of it, whatever the reason.
    label, names = answer.label, experiment.classes.names
    wanted = (None, SKIPPED, _skipped(answer.reason)) if label is None else (None, names[label])
    return (
        filters.round in (None, answer.round)
        and filters.annotator in (None, answer.annotator)
        and filters.class_name in wanted
        and not (filters.second_opinion and answer.annotator == annotator)
    )


def _most_suspicious_first(
    probs: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Positions by ascending self-confidence, those without a label (-1) last; where the model
    disagrees strongly."""
    confidence = np.full(len(labels), np.inf)
    strong = np.zeros(len(labels), dtype=bool)
    labeled = np.flatnonzero(labels >= 0)
    if len(labeled):
        confidence[labeled] = self_confidence(probs[labeled], labels[labeled])
        strong[labeled] = disagrees_strongly(probs[labeled], labels[labeled])
    return confidence.argsort(kind="stable"), strong


def _count(shown: Shown) -> str:
    count = counted(len(shown.images), "image")
    if not shown.images:
        return "No image matches."
    if not shown.guesses:
        return f"{count}, the latest first."
    return (
        f"{count}, the most suspicious first: those whose label the latest model finds least "
        "likely (self-confidence, Kuan & Mueller, 2022)."
    )


def _grid(context: DeskContext, shown: Shown, images: Sequence[int]) -> None:
    kind = "opinion" if shown.filters.second_opinion else "review"
    label_grid(frame_of(context, grid_of(context, kind), images, shown.guesses))


def _show_agreement(experiment: Experiment) -> None:
    rows = agreement(experiment)
    if not rows:
        return
    st.subheader("Agreement", anchor=False)
    table = {
        "One": [row.first for row in rows],
        "Other": [row.second for row in rows],
        "Images both labelled": [row.images for row in rows],
        "same": [100 * row.share for row in rows],
        "kappa": [row.kappa for row in rows],
    }
    note = "Agreement beyond chance: 1 is perfect, 0 is chance."
    columns = {
        "same": number_column("Same label", "%.0f%%"),
        "kappa": number_column("Cohen's kappa", "%.2f", note),
    }
    st.dataframe(table, hide_index=True, column_config=columns)
