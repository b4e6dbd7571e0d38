"""Second thoughts: everything labelled so far, the most suspicious first, one key to relabel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from al_core.analysis.label_quality import agreement, disagrees_strongly, self_confidence
from al_core.errors import ActiveLearningError
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import load_predictions
from al_core.images.dataset import Dataset
from al_core.store.records import Annotation
from al_core.store.store import Store
from al_desk.grid.events import GridEvent
from al_desk.grid.label_grid import Tile, label_grid
from al_desk.grid.tiles import code, truth_of
from al_desk.labelling.answers import grid_key, rows
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain

PAGE = 60  # images shown at once
SKIPPED = "Skipped"
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
    """The images that match, in order, as the log was then, and the model's guess for each, if
    there is a model."""

    experiment: Experiment
    filters: Filters
    images: list[int]
    guesses: dict[int, tuple[int, float]]


@st.fragment
def review(
    store: Store, experiment: Experiment, dataset: Dataset, annotator: str, show_truth: bool
) -> None:
    """Filters, the grid, and how far people agree."""
    try:
        _review(store, experiment, dataset, annotator, show_truth)
    except ActiveLearningError as error:
        st.error(plain(str(error)), icon=":material/error:")


def _review(
    store: Store, experiment: Experiment, dataset: Dataset, annotator: str, show_truth: bool
) -> None:
    shown: Shown | None = st.session_state.get(STATE)
    if shown is not None and shown.experiment.id != experiment.id:
        shown = None
    now = shown.experiment if shown else open_experiment(store, experiment.id)
    filters = _choose_filters(now)
    if shown is None or shown.filters != filters:
        now = open_experiment(store, experiment.id)
        shown = st.session_state[STATE] = _find(now, filters, annotator)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_words(shown))
        button("Look again", leave_review, icon=":material/refresh:", help="After many changes.")
    if shown.images:
        page = 0
        if len(shown.images) > PAGE:
            page = st.pagination(-(-len(shown.images) // PAGE), key=f"page-{hash(filters)}") - 1
        images = shown.images[PAGE * page : PAGE * (page + 1)]
        _grid(store, experiment, dataset, annotator, show_truth, shown, images)
    second_opinion = filters.second_opinion  # then it grows with each label
    _show_agreement(open_experiment(store, experiment.id) if second_opinion else shown.experiment)


def leave_review() -> None:
    """The next visit looks at the labels anew."""
    st.session_state.pop(STATE, None)


def _choose_filters(experiment: Experiment) -> Filters:
    answers = experiment.pool.answers.values()
    row = st.container(horizontal=True, vertical_alignment="bottom")
    class_name = _one_of(row, "Class", [*experiment.config.class_names, SKIPPED])
    number = _one_of(row, "Round", sorted({a.round for a in answers}))
    annotator = _one_of(row, "Annotator", sorted({a.annotator for a in answers}))
    strongly = row.toggle(
        "The model disagrees strongly",
        disabled=not experiment.rounds,
        help="It is as sure of another class as it is, on average, of images of that class: "
        "confident learning (Northcutt et al., 2021).",
    )
    second = row.toggle(
        "Second opinion",
        help="Hides what others said, so that you label independently of it. Where two people "
        "labelled the same image, their agreement is shown below.",
    )
    return Filters(class_name, number, annotator, strongly, second)


def _one_of(row: DeltaGenerator, label: str, options: Sequence[T]) -> T | None:
    """The option a person picks, None for all."""
    key = f"review-{label.lower()}"
    return row.selectbox(label, options, None, placeholder="All", width=160, key=key)


def _find(experiment: Experiment, filters: Filters, annotator: str) -> Shown:
    answers = list(experiment.pool.answers.values())
    images = np.array([answer.image for answer in answers], dtype=np.int64)
    labels = np.array([-1 if a.label is None else a.label for a in answers], dtype=np.int64)
    matches = np.array([_match(experiment, answer, filters, annotator) for answer in answers], bool)
    said = load_predictions(experiment.folder, experiment.next_round - 1)
    if said is None or len(said.probs) != experiment.pool_size or not len(images):
        return Shown(experiment, filters, images[matches].tolist()[::-1], {})
    probs = said.probs[images]
    order, strong = _most_suspicious_first(probs, labels)
    guesses = {
        image: (int(p.argmax()), float(p.max()))
        for image, p in zip(images.tolist(), probs, strict=True)
    }
    wanted = matches & strong if filters.strongly else matches
    return Shown(experiment, filters, images[order[wanted[order]]].tolist(), guesses)


def _match(experiment: Experiment, answer: Annotation, filters: Filters, annotator: str) -> bool:
    names = experiment.config.class_names
    name = SKIPPED if answer.label is None else names[answer.label]
    return (
        filters.round in (None, answer.round)
        and filters.annotator in (None, answer.annotator)
        and filters.class_name in (None, name)
        and not (filters.second_opinion and answer.annotator == annotator)
    )


def _most_suspicious_first(
    probs: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Positions by self-confidence, skipped ones last, and where the model disagrees strongly."""
    confidence = np.full(len(labels), np.inf)
    strong = np.zeros(len(labels), dtype=bool)
    labeled = np.flatnonzero(labels >= 0)
    if len(labeled):
        confidence[labeled] = self_confidence(probs[labeled], labels[labeled])
        strong[labeled] = disagrees_strongly(probs[labeled], labels[labeled])
    return confidence.argsort(kind="stable"), strong


def _words(shown: Shown) -> str:
    count = f"{len(shown.images):,} image{'s' if len(shown.images) != 1 else ''}"
    if not shown.images:
        return "No image matches."
    if not shown.guesses:
        return f"{count}, the latest first."
    return (
        f"{count}, the most suspicious first: those whose label the latest model holds least "
        "likely (self-confidence, Kuan & Mueller, 2022)."
    )


def _grid(
    store: Store,
    experiment: Experiment,
    dataset: Dataset,
    annotator: str,
    show_truth: bool,
    shown: Shown,
    images: Sequence[int],
) -> None:
    second_opinion = shown.filters.second_opinion

    def receive(events: list[GridEvent]) -> None:
        log = store.annotations(experiment.id, [event.image for event in events])
        number = shown.experiment.label_round
        new = rows(events, log, number, annotator, dataset, not second_opinion, second_opinion)
        store.append(experiment.id, new)

    log = store.annotations(experiment.id, images)
    if second_opinion:
        log = [said for said in log if said.annotator == annotator]
    answers = Pool.fold(experiment.pool_size, log).answers
    digest = blake2b(str((shown.filters, images)).encode(), digest_size=6).hexdigest()
    label_grid(
        key=grid_key(experiment.id, "opinion" if second_opinion else "review", digest),
        images=dataset.train.images[list(images)],
        tiles=[
            Tile(
                image,
                code(answers.get(image)),
                shown.guesses.get(image),
                truth_of(dataset, image, show_truth),
            )
            for image in images
        ],
        class_names=experiment.config.class_names,
        on_events=receive,
        review=True,
        who=annotator,
    )


def _show_agreement(experiment: Experiment) -> None:
    rows = agreement(experiment)
    if not rows:
        return
    st.subheader("Agreement", anchor=False)
    table = {
        "One": [row.first for row in rows],
        "Other": [row.second for row in rows],
        "Images both labelled": [row.images for row in rows],
        "Same label": [100 * row.share for row in rows],
        "Cohen's kappa": [row.kappa for row in rows],
    }
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "Same label": st.column_config.NumberColumn(format="%.0f%%"),
            "Cohen's kappa": st.column_config.NumberColumn(
                format="%.2f", help="Agreement beyond chance: 1 is perfect, 0 is chance."
            ),
        },
    )
