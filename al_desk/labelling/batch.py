"""The open batch: handed out to this tab, and shown in the grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from al_core.analysis.classes import some
from al_core.experiment.experiment import SO_FAR, Experiment
from al_core.experiment.leases import (
    Holder,
    draw_random_batch,
    is_held,
    round_to_label,
    take_new_batch,
    take_open_batch,
)
from al_core.jobs import JobState
from al_core.progress import Work, finish
from al_core.store.records import Batch
from al_core.strategies.registry import FEW_PER_CLASS, FOR_FEW, suits_few_labels, titled
from al_desk.context import DeskContext
from al_desk.grid.label_grid import label_grid
from al_desk.grid.tiles import frame_of, grid_of, guesses_of
from al_desk.routes.answers import tab_name
from al_desk.routes.pictures import Shown, shown
from al_desk.server.encoders import waits_for_download
from al_desk.server.resources import is_gone, loader, this_tab, warm_up
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain, show_error
from al_desk.widgets.job_progress import watch

FIRST_S = 1.2  # seconds, after the first, that the first batch may take to choose
FOCUS = "focus"  # session state: the image an undo leads back to, and when


def take_batch(context: DeskContext) -> Batch | None:
    """The batch that this tab labels, chosen now if need be; None while there is nothing to do."""
    experiment = context.experiment
    holder = Holder(this_tab(), context.annotator, is_early=waits_for_download(experiment))
    batch = take_open_batch(context.store, experiment, holder, is_gone)
    waits = context.dataset.is_outline or round_to_label(experiment, holder) is None
    if batch is not None or waits:
        warm_up()
        return batch
    key = f"batch of experiment {experiment.id} for {holder.tab}"
    job = loader().job(key)
    if job is None:
        job = loader().submit(key, lambda: _choose(context, holder))
        job.wait(1)  # usually it is done at once, and the page need not flicker
    if job.active and is_first(experiment) and not job.wait(FIRST_S):
        job.cancel()  # an encoder that takes long
        batch = finish(take_new_batch(context.store, experiment.id, holder, _drawn, is_gone))
        loader().withdraw(key)
    elif job.active:
        watch(job, "Choosing the next batch")
    elif job.state is JobState.DONE:
        loader().forget(key)
        batch = job.result
    else:
        show_error(job.error or "Choosing was cancelled.")
        button("Choose again", lambda: loader().forget(key), icon=":material/refresh:")
    return batch


def is_first(experiment: Experiment) -> bool:
    """Whether nobody has been asked anything yet, and an encoder is still to see the images."""
    return not experiment.batches and experiment.config.model.is_frozen


def _drawn(experiment: Experiment, number: int) -> Work[Batch | None]:
    yield from ()
    return draw_random_batch(experiment, number)


def _choose(context: DeskContext, holder: Holder) -> Work[Batch | None]:
    from al_core.loop.advance import choose_batch
    from al_core.models.hardware import find_hardware

    def choose(experiment: Experiment, number: int) -> Work[Batch | None]:
        so_far = replace(experiment, embedded=SO_FAR)
        return choose_batch(so_far, number, context.dataset, find_hardware())

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


def label_batch(context: DeskContext, batch: Batch) -> None:
    """Show a batch. What a person does in it goes to the log by a route of its own; the page is
    drawn again once it is handed in, or goes to somebody else."""
    grid = grid_of(context, "batch", batch.id)
    if batch.audits:  # a look would be told from the others by having no guess
        grid = replace(grid, guess_shown=False)
    frame = frame_of(context, grid, batch.images, guesses_of(batch))
    label_grid(
        replace(
            frame,
            holder=tab_name(batch.holder),
            focus=st.session_state.get(FOCUS),
            ahead=_ahead(context, batch),
        )
    )


def _ahead(context: DeskContext, batch: Batch) -> list[Shown]:
    """The pictures of a batch that waits for whoever is done with this one."""
    if context.dataset.is_outline:
        return []
    for other in context.experiment.open_batches:
        if other.id != batch.id and not is_held(other, is_gone):
            return shown(context.dataset.train, other.images)
    return []
