"""The open batch: handed out to this tab, shown in the grid, written to the log, handed in."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from al_core.errors import ConfigError
from al_core.experiment import Experiment, open_experiment
from al_core.images import Dataset
from al_core.leases import (
    close_round,
    hand_in,
    held_by_others,
    lapses_at,
    round_to_label,
    take_new_batch,
    take_open_batch,
)
from al_core.pool import Annotation
from al_core.progress import Work
from al_core.schema import Batch
from al_core.store import Store
from al_core.undo import undo
from al_core.worker import JobState
from ui.label_grid import ANY, CLEAR, HAND_IN, UNDO, GridEvent, label_grid
from ui.resources import is_gone, loader, settle, this_tab, warm_up
from ui.text import local_time, plain
from ui.tiles import batch_tiles, why
from ui.training import stop_round, watch

FOCUS = "focus"  # session state: the image an undo leads back to, and how many there were
REDRAW = "redraw"  # session state: whether an undo asks for the whole page to be drawn again


def take_batch(store: Store, experiment: Experiment, dataset: Dataset) -> Batch | None:
    """The batch that this tab labels, chosen now if need be; None while there is nothing to do."""
    tab = this_tab()
    batch = take_open_batch(store, experiment, tab, is_gone)
    if batch is not None or round_to_label(experiment, tab) is None:
        warm_up()
        return batch
    key = f"batch of experiment {experiment.id} for {tab}"
    job = loader().submit(key, lambda: _choose(store, experiment.id, tab, dataset))
    job.wait(1)  # most often it is there at once, and the page need not flicker
    if job.active:
        watch(job, "Choosing the next batch")
        return None
    loader().forget(key)
    if job.error:
        st.error(plain(job.error), icon=":material/error:")
    return job.result if job.state is JobState.DONE else None


def _choose(store: Store, experiment_id: int, tab: str, dataset: Dataset) -> Work[Batch | None]:
    # Imported here, in the worker's thread, for torch takes seconds to import.
    from al_core.network import find_hardware
    from al_core.round import choose_batch

    settle("torch")

    def choose(experiment: Experiment, number: int) -> Work[Batch | None]:
        return choose_batch(experiment, number, dataset, find_hardware())

    return (yield from take_new_batch(store, experiment_id, tab, is_gone, choose))


def describe(batch: Batch) -> str:
    """What a batch is, in a few words."""
    if batch.round == 0:
        return "Initial images, drawn at random"
    return f"Round {batch.round}: {batch.strategy.replace('_', ' ')}"


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

    def receive(events: list[GridEvent]) -> str | None:
        said: list[Annotation] = []
        refused = None
        for event in events:
            if event.act in (UNDO, HAND_IN):
                write(said)
                said = []
                if event.act == UNDO:
                    _take_back(store, experiment.id, batch, annotator, event)
                else:
                    refused = _hand_in(store, experiment.id, batch)
            else:
                said.append(annotation(event, batch.round, annotator, dataset, config.show_guesses))
        write(said)
        return refused

    def write(said: list[Annotation]) -> None:
        if said:
            store.append(experiment.id, said, renewed=(batch, lapses_at()))

    label_grid(
        key=f"label-grid-{batch.id}",
        images=dataset.train.images[list(batch.images)],
        tiles=batch_tiles(experiment, batch, dataset, show_truth),
        class_names=config.class_names,
        on_events=receive,
        explain=lambda image: why(store, experiment, batch, dataset, image),
        show_guesses=config.show_guesses,
        focus=st.session_state.get(FOCUS),
    )
    now = store.batch(batch.id)
    moved_on = now is None or now.handed_in_at is not None or now.holder != batch.holder
    if st.session_state.pop(REDRAW, False) or moved_on:
        st.rerun(scope="app")


def annotation(
    event: GridEvent, number: int, annotator: str, dataset: Dataset, guess_shown: bool
) -> Annotation:
    """What an event of the grid says, as the log keeps it."""
    return Annotation(
        image=event.image,
        label=event.act if event.act >= 0 else None,
        round=number,
        annotator=annotator,
        cleared=event.act == CLEAR,
        key=dataset.train.keys[event.image],
        event=event.event_id,
        milliseconds=event.milliseconds,
        guess_shown=guess_shown,
    )


def _take_back(
    store: Store, experiment_id: int, batch: Batch, annotator: str, event: GridEvent
) -> None:
    """Undo: of one image of this batch, or of whatever the annotator said last, in any batch.

    A batch that was handed in is opened again for that; a training that has begun with the label
    in question is stopped, and begins again with the next hand-in.
    """
    experiment = open_experiment(store, experiment_id)
    row = undo(experiment, annotator, None if event.image == ANY else event.image)
    if row is None:
        st.toast("There is nothing to undo.")
        return
    store.append(experiment_id, [replace(row, event=event.event_id)], (batch, lapses_at()))
    if event.image != ANY:
        return
    source = next(b for b in reversed(experiment.batches) if row.image in b.images)
    if source.handed_in_at is not None:
        store.reopen(source.id, this_tab(), lapses_at())
        if source.round == experiment.next_round:
            stop_round(experiment)
    turn = st.session_state.get(FOCUS, (0, 0))[1] + 1
    st.session_state[FOCUS] = (row.image, turn)
    st.session_state[REDRAW] = True


def _hand_in(store: Store, experiment_id: int, batch: Batch) -> str | None:
    """Hand a batch in, or say why that cannot be."""
    try:
        hand_in(store, experiment_id, batch, is_gone)
    except ConfigError as error:
        return str(error)
    return None


def wait_for_others(store: Store, experiment: Experiment) -> None:
    """Say who still labels the round, and offer to go on without them."""
    number = experiment.next_round
    others = held_by_others(experiment, number, this_tab(), is_gone)
    if not others:
        return
    _others(store, experiment.id, number, len(others))


@st.fragment(run_every=1.0)
def _others(store: Store, experiment_id: int, number: int, known: int) -> None:
    experiment = open_experiment(store, experiment_id)
    close_round(store, experiment_id, number, is_gone)
    others = held_by_others(experiment, number, this_tab(), is_gone)
    if len(others) != known:
        st.rerun(scope="app")
    answers = experiment.pool.answers
    asked = [image for batch in others for image in batch.images]
    done = sum(image in answers for image in asked)
    lapse = max(batch.leased_until for batch in others if batch.leased_until)
    st.info(
        f"Round {number} waits for what others still label: {done} of {len(asked)} images. "
        f"It goes on without them at {local_time(lapse):%H:%M} if they stay silent.",
        icon=":material/group:",
    )
    if st.button("Go on without them", help="Their labels so far are kept."):
        for batch in others:
            store.hand_in(batch.id)
        st.rerun(scope="app")
