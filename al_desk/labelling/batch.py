"""The open batch: handed out to this tab, shown in the grid, written to the log, handed in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby

import streamlit as st

from al_core.errors import ConfigError, StoreError
from al_core.experiment.experiment import Experiment
from al_core.experiment.leases import (
    hand_in,
    lapses_at,
    round_to_label,
    take_new_batch,
    take_open_batch,
)
from al_core.images.dataset import Dataset
from al_core.jobs import JobState
from al_core.progress import Work
from al_core.store.records import Batch
from al_core.store.store import Store
from al_core.strategies.registry import FEW_PER_CLASS, FOR_FEW, suits_few_labels, titled
from al_desk.grid.events import ANY, CLEAR, HAND_IN, UNDO, GridEvent
from al_desk.grid.label_grid import label_grid
from al_desk.grid.tiles import batch_tiles, why
from al_desk.labelling.answers import annotation, grid_key, rows
from al_desk.labelling.refit import answered, refit_when_due
from al_desk.labelling.undo import FOCUS, REDRAW, take_back
from al_desk.server.resources import is_gone, loader, this_tab, warm_up
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain
from al_desk.widgets.job_progress import watch


def take_batch(
    store: Store, experiment: Experiment, dataset: Dataset, annotator: str
) -> Batch | None:
    """The batch that this tab labels, chosen now if need be; None while there is nothing to do."""
    tab = this_tab()
    batch = take_open_batch(store, experiment, tab, annotator, is_gone)
    if batch is not None or round_to_label(experiment, tab) is None:
        warm_up()
        return batch
    key = f"batch of experiment {experiment.id} for {tab}"
    job = loader().job(key)
    if job is None:
        job = loader().submit(key, lambda: _choose(store, experiment.id, tab, annotator, dataset))
        job.wait(1)  # most often it is there at once, and the page need not flicker
    if job.active:
        watch(job, "Choosing the next batch")
    elif job.state is JobState.DONE:
        loader().forget(key)
        return job.result
    else:
        st.error(plain(job.error or "Choosing was cancelled."), icon=":material/error:")
        button("Choose again", lambda: loader().forget(key), icon=":material/refresh:")
    return None


def _choose(
    store: Store, experiment_id: int, tab: str, annotator: str, dataset: Dataset
) -> Work[Batch | None]:
    # Imported here, in the worker's thread, for torch takes seconds to import.
    from al_core.loop.advance import choose_batch
    from al_core.models.hardware import find_hardware

    def choose(experiment: Experiment, number: int) -> Work[Batch | None]:
        return choose_batch(experiment, number, dataset, find_hardware())

    return (yield from take_new_batch(store, experiment_id, tab, annotator, is_gone, choose))


def describe(batch: Batch) -> str:
    """What a batch is, in a few words."""
    title = titled(batch.strategy)
    if batch.round:
        return f"Round {batch.round}: {title}"
    chosen = "drawn at random" if batch.strategy == "random" else f"chosen by {title}"
    return f"Initial images, {chosen}"


def hint_for_few_labels(experiment: Experiment) -> str:
    """Which strategies suit the labels so far, where the one in use does not; else nothing."""
    config = experiment.config
    few = len(experiment.pool.labeled) < FEW_PER_CLASS * len(config.class_names)
    if not few or experiment.next_round == 0 or suits_few_labels(config.strategy):
        return ""
    return f"While labels are few, try {FOR_FEW}: choose the strategy in the sidebar."


@st.fragment
def label_batch(
    store: Store,
    experiment: Experiment,
    batch: Batch,
    dataset: Dataset,
    annotator: str,
    show_truth: bool,
) -> None:
    """Show a batch, write each label to the log as it comes, and hand in when all are there.

    A label draws only this fragment again, with the very arguments of the last full run, so the
    picture is sent once.
    """
    config = experiment.config
    done = answered(experiment, batch)
    drawing = True

    def receive(events: list[GridEvent]) -> str | None:
        refused = None
        for act, group in groupby(events, key=lambda e: e.act if e.act in (UNDO, HAND_IN) else 0):
            same = list(group)
            if act == UNDO:
                refused = _undo(store, experiment.id, batch, dataset, annotator, same)
            elif act == HAND_IN:
                refused = _hand_in(store, experiment.id, batch)
            else:
                shown = config.show_guesses
                said = [annotation(e, batch.round, annotator, dataset, shown) for e in same]
                store.append(experiment.id, said, renewed=(batch, lapses_at()))
                done.update(e.image for e in same if e.act != CLEAR)
                refit_when_due(store, experiment, batch, dataset, done)
        if drawing:  # they come from before a restart: what is drawn knows nothing of them yet
            st.session_state[REDRAW] = True
        return refused

    label_grid(
        key=grid_key(experiment.id, "batch", batch.id),
        images=dataset.train.images[list(batch.images)],
        tiles=batch_tiles(experiment, batch, dataset, show_truth),
        class_names=config.class_names,
        on_events=receive,
        explain=lambda image: why(store, experiment, batch, dataset, image),
        show_guesses=config.show_guesses,
        focus=st.session_state.get(FOCUS),
        who=annotator,
    )
    drawing = False
    with suppress(StoreError):  # the grid says so already, and keeps what is not saved
        now = store.batch(batch.id)
        moved_on = now is None or now.handed_in_at is not None or now.holder != batch.holder
        if st.session_state.pop(REDRAW, False) or moved_on:
            st.rerun(scope="app")


def _undo(
    store: Store,
    experiment_id: int,
    batch: Batch,
    dataset: Dataset,
    annotator: str,
    events: Sequence[GridEvent],
) -> str | None:
    """Take back the last thing said of each image, or, for ANY, the last thing said at all; a
    sentence where there is nothing."""
    refused = None
    for image, same in groupby(events, key=lambda event: event.image):
        if image == ANY:
            for event in same:
                refused = take_back(store, experiment_id, annotator, event.event_id)
            continue
        log = store.annotations(experiment_id, [image])
        taken_back = rows([*same], log, batch.round, annotator, dataset, False)
        store.append(experiment_id, taken_back, renewed=(batch, lapses_at()))
    return refused


def _hand_in(store: Store, experiment_id: int, batch: Batch) -> str | None:
    """Hand a batch in, or say why that cannot be."""
    try:
        hand_in(store, experiment_id, batch, is_gone)
    except ConfigError as error:
        st.session_state[REDRAW] = True  # the page may show labels that are there no more
        return str(error)
    return None
