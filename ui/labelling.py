"""The open batch: the grid, what is saved of it, and the button that hands it in."""

from __future__ import annotations

import streamlit as st

from al_core.errors import ActiveLearningError
from al_core.experiment import Experiment, hand_in
from al_core.images import Dataset
from al_core.pool import Annotation, Pool
from al_core.schema import Batch
from al_core.store import Store
from ui.label_grid import CLEAR, SKIP, LabelEvent, Tile, label_grid
from ui.text import plain


def batch_tiles(
    experiment: Experiment, batch: Batch, dataset: Dataset, show_truth: bool
) -> list[Tile]:
    """The batch as the log has it now; the truth only where a person asked to see it."""
    answers = experiment.pool.answers
    truths = dataset.train.targets
    return [
        Tile(
            image=image,
            label=_code(answers.get(image)),
            truth=int(truths[image]) if show_truth and truths[image] >= 0 else None,
        )
        for image in batch.images
    ]


@st.fragment
def label_batch(
    store: Store,
    experiment: Experiment,
    batch: Batch,
    dataset: Dataset,
    tiles: list[Tile],
    annotator: str,
) -> None:
    """Show a batch, write each label to the log as it comes, and hand in when all are there.

    A label draws only this fragment again, with the very arguments of the last full run, so the
    picture is sent once.
    """

    def save(events: list[LabelEvent]) -> None:
        if not store.is_open(batch.id):
            return  # handed in by another tab: what a round was trained on is not changed here
        store.append(
            experiment.id,
            [_annotation(event, batch.round, annotator, dataset) for event in events],
        )

    head = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    problem = None
    try:
        label_grid(
            key=f"label-grid-{batch.id}",
            images=dataset.train.images[list(batch.images)],
            tiles=tiles,
            class_names=experiment.config.class_names,
            on_events=save,
        )
    except ActiveLearningError as error:
        problem = error
    with head:
        st.subheader(_title(batch), anchor=False)
        if problem is None:
            _saved_and_hand_in(store, experiment, batch)
        else:
            st.error(plain(f"Not saved yet: {problem} Your labels are kept in this page."))
            st.button("Save again", icon=":material/save:")


def _saved_and_hand_in(store: Store, experiment: Experiment, batch: Batch) -> None:
    """How many answers are on disk, and the button, once all of them are."""
    if not store.is_open(batch.id):
        st.rerun(scope="app")
    log = store.annotations(experiment.id, batch.round)
    answers = Pool.fold(experiment.pool_size, log).answers
    done = sum(image in answers for image in batch.images)
    st.caption(f":material/cloud_done: {done} of {len(batch.images)} saved")
    # Not in a callback: that would run before the labels typed just before the click are in.
    if st.button(
        "Hand in batch",
        key=f"hand-in-{batch.id}",
        type="primary",
        icon=":material/done_all:",
        disabled=done < len(batch.images),
    ):
        try:
            hand_in(store, experiment.id, batch)
        except ActiveLearningError as error:
            st.error(plain(str(error)))
        else:
            st.rerun()


def _title(batch: Batch) -> str:
    if batch.round == 0:
        return "Initial images, drawn at random"
    return f"Round {batch.round}: {batch.strategy.replace('_', ' ')}"


def _annotation(event: LabelEvent, number: int, annotator: str, dataset: Dataset) -> Annotation:
    return Annotation(
        image=event.image,
        label=event.label if event.label >= 0 else None,
        round=number,
        annotator=annotator,
        cleared=event.label == CLEAR,
        key=dataset.train.keys[event.image],
        event=event.event_id,
        milliseconds=event.milliseconds,
    )


def _code(answer: Annotation | None) -> int | None:
    """An answer as the grid says it."""
    if answer is None:
        return None
    return SKIP if answer.label is None else answer.label
