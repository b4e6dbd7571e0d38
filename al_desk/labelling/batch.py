"""The open batch: handed out to this tab, shown in the grid, saved label by label, handed in or
taken back; and a linear head that is fitted again meanwhile, so that the next batch is ready."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby

import numpy as np
import streamlit as st

from al_core.analysis.classes import some
from al_core.errors import ConfigError, StoreError
from al_core.experiment.experiment import Experiment
from al_core.experiment.leases import (
    Holder,
    hand_in,
    is_held,
    lapses_at,
    round_to_label,
    take_new_batch,
    take_open_batch,
)
from al_core.experiment.undo import undo
from al_core.jobs import JobState
from al_core.models.learned_weights import waits_for_features
from al_core.progress import Work
from al_core.store.records import Batch
from al_core.strategies.registry import FEW_PER_CLASS, FOR_FEW, suits_few_labels, titled
from al_desk.context import DeskContext
from al_desk.grid.events import ANY, CLEAR, HAND_IN, NEW, UNDO, GridEvent
from al_desk.grid.label_grid import GridStatus, label_grid
from al_desk.grid.tiles import frame_of, guesses_of, labels_of, why
from al_desk.labelling.answers import grid_key, save
from al_desk.server.resources import is_gone, loader, this_tab, trainer, warm_up
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain, show_error
from al_desk.widgets.job_progress import round_key, watch

FOCUS = "focus"  # session state: the image an undo leads back to, and when
REDRAW = "redraw"  # session state: whether the whole page must be redrawn
SHARES = (0.5, 1.0)  # of a batch; the head is fitted again when this much of it is answered


def take_batch(context: DeskContext) -> Batch | None:
    """The batch that this tab labels, chosen now if need be; None while there is nothing to do."""
    holder, experiment = Holder(this_tab(), context.annotator), context.experiment
    batch = take_open_batch(context.store, experiment, holder, is_gone)
    waits = context.dataset.is_outline or round_to_label(experiment, holder.tab) is None
    if batch is not None or waits:
        warm_up()
        return batch
    key = f"batch of experiment {experiment.id} for {holder.tab}"
    job = loader().job(key)
    if job is None:
        job = loader().submit(key, lambda: _choose(context, holder))
        job.wait(1)  # usually it is done at once, and the page need not flicker
    if job.active:
        watch(job, "Choosing the next batch")
    elif job.state is JobState.DONE:
        loader().forget(key)
        batch = job.result
    else:
        show_error(job.error or "Choosing was cancelled.")
        button("Choose again", lambda: loader().forget(key), icon=":material/refresh:")
    return batch


def _choose(context: DeskContext, holder: Holder) -> Work[Batch | None]:
    from al_core.loop.advance import choose_batch
    from al_core.models.hardware import find_hardware

    def choose(experiment: Experiment, number: int) -> Work[Batch | None]:
        return choose_batch(experiment, number, context.dataset, find_hardware())

    store, number = context.store, context.experiment.id
    return (yield from take_new_batch(store, number, holder, choose, is_gone))


def describe(batch: Batch) -> str:
    """The heading of a batch."""
    title = titled(batch.strategy)
    if batch.round:
        return f"Round {batch.round}: {title}"
    chosen = "drawn at random" if batch.strategy == "random" else f"chosen by {title}"
    return f"Initial images, {chosen}"


def hint_for_few_labels(experiment: Experiment) -> str:
    """Which strategies suit classes with so few labels, where the one in use does not; else
    empty."""
    config = experiment.config
    named = experiment.classes.named
    counts = np.bincount(experiment.trained_on.labels, minlength=len(config.class_names))
    few = [name for number, name in named.items() if counts[number] < FEW_PER_CLASS]
    if not few or experiment.next_round == 0 or suits_few_labels(config.strategy):
        return ""
    of = "" if len(few) == len(named) else f" of {plain(some(few))}"
    return f"While there are few labels{of}, try {FOR_FEW}: choose the strategy in the sidebar."


@st.fragment
def label_batch(context: DeskContext, batch: Batch) -> None:
    """Show a batch, write each label to the log as it comes, and hand in once all are there.

    A label redraws only this fragment, with the very arguments of the last full run, so the
    pictures are sent once.
    """
    if st.session_state.pop(REDRAW, False):  # an undo: the batch that it leads to is shown first
        st.rerun(scope="app")
    experiment = context.experiment
    drawing = True

    def receive(events: list[GridEvent]) -> str | None:
        refused = None
        for act, group in groupby(events, key=lambda e: e.act if e.image == ANY else None):
            if act == HAND_IN:
                refused = _hand_in(context, batch)
            elif act == UNDO:
                for event in group:
                    refused = take_back(context, event.event_id)
            else:
                same = list(group)
                refused = save(context, "batch", batch.round, same, batch)
                if any(event.act == NEW for event in same):  # the page shows other classes now
                    st.session_state[REDRAW] = True
                refit_when_due(context, batch, same)
        if drawing:  # they come from before a restart: what is being drawn does not show them yet
            st.session_state[REDRAW] = True
        return refused

    label_grid(
        frame_of(context, grid_key(context, "batch", batch.id), batch.images, guesses_of(batch)),
        GridStatus(
            labels_of(batch.images, experiment.pool.answers),
            context.annotator,
            show_guesses=experiment.config.show_guesses,
            focus=st.session_state.get(FOCUS),
        ),
        receive,
        lambda image: why(context, batch, image),
    )
    drawing = False
    with suppress(StoreError):  # the grid shows it already, and keeps what is not saved
        now = context.store.batch(batch.id)
        moved_on = now is None or now.handed_in_at is not None or now.holder != batch.holder
        if st.session_state.pop(REDRAW, False) or moved_on:
            st.rerun(scope="app")


def _hand_in(context: DeskContext, batch: Batch) -> str | None:
    """Hand a batch in, or say why that is not possible."""
    try:
        hand_in(context.store, context.experiment.id, batch, is_gone)
    except ConfigError as error:
        st.session_state[REDRAW] = True  # the page may show labels that no longer exist
        return str(error)
    return None


def take_back(context: DeskContext, event_id: str) -> str | None:
    """Undo the annotator's last answer, unless its batch is being labelled by somebody else now; a
    sentence where there is nothing to undo.

    A batch that was handed in is opened again; if its round is training, that is stopped, and
    starts over with the next hand-in.
    """
    store, experiment, tab = context.store, context.reread(), this_tab()
    theirs = (b for b in experiment.open_batches if b.holder != tab and is_held(b, is_gone))
    asked = {image for b in experiment.batches for image in b.images}
    asked -= {image for b in theirs for image in b.images}
    # The same event may arrive twice: then its row is there, and only the rest is done again.
    row = next((row for row in experiment.annotations if row.event == event_id), None)
    if row is None:
        row = undo(experiment.annotations, context.annotator, asked)
        if row is None:
            return "There is nothing to undo."
        store.append(experiment.id, [replace(row, event=event_id)])
    source = next(b for b in reversed(experiment.batches) if row.image in b.images)
    if source.handed_in_at is not None:
        store.reopen(source.id, tab, context.annotator, lapses_at())
        if source.round == experiment.next_round:
            trainer().withdraw(round_key(experiment.id, source.round))
    st.session_state[FOCUS] = (row.image, time.time_ns() // 1_000_000)
    st.session_state[REDRAW] = True
    return None


def refit_when_due(context: DeskContext, batch: Batch, events: Sequence[GridEvent]) -> None:
    """Fit the head in the background, once for each of the SHARES of the batch that ``events`` and
    those before them have answered."""
    experiment = context.experiment
    answered: set[int] = st.session_state.setdefault(
        f"answered-{batch.id}", experiment.pool.answers.keys() & set(batch.images)
    )
    answered.update(event.image for event in events if event.act not in (CLEAR, UNDO))
    if experiment.config.model.head != "linear" or batch.round != experiment.next_round:
        return
    if context.dataset.is_outline or waits_for_features(experiment.config, experiment.fingerprint):
        return
    due = sum(len(answered) >= share * len(batch.images) for share in SHARES)
    key = f"experiment {experiment.id}, batch {batch.id}, fit {due}"
    if due and trainer().job(key) is None:
        trainer().submit(key, lambda: _refit(context))


def _refit(context: DeskContext) -> Work[None]:
    from al_core.loop.advance import refit
    from al_core.models.hardware import find_hardware

    yield from refit(context.store, context.experiment.id, context.dataset, find_hardware())
