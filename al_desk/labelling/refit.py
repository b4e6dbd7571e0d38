"""Fitting a linear head again while a person labels, so that the next batch is ready."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from al_core.models.learned_weights import waits_for_features
from al_core.progress import Work
from al_core.store.records import Batch
from al_desk.context import DeskContext
from al_desk.grid.events import CLEAR, GridEvent
from al_desk.server.resources import trainer

SHARES = (0.5, 1.0)  # of a batch; the head is fitted again when this much of it is answered


def refit_when_due(context: DeskContext, batch: Batch, events: Sequence[GridEvent]) -> None:
    """Fit the head in the background, once for each of the SHARES of the batch that ``events`` and
    those before them have answered."""
    experiment = context.experiment
    answered: set[int] = st.session_state.setdefault(
        f"answered-{batch.id}", experiment.pool.answers.keys() & set(batch.images)
    )
    answered.update(event.image for event in events if event.act != CLEAR)
    if experiment.config.model.head != "linear" or batch.round != experiment.next_round:
        return
    if waits_for_features(experiment.config, experiment.fingerprint):
        return
    due = sum(len(answered) >= share * len(batch.images) for share in SHARES)
    key = f"experiment {experiment.id}, batch {batch.id}, fit {due}"
    if due and trainer().job(key) is None:
        trainer().submit(key, lambda: _refit(context))


def _refit(context: DeskContext) -> Work[None]:
    # Imported in the worker's thread, since torch takes seconds to import.
    from al_core.loop.advance import refit
    from al_core.models.hardware import find_hardware

    yield from refit(context.store, context.experiment.id, context.dataset, find_hardware())
