"""A linear head is fit again while a person labels: the batch after this one is ready then."""

from __future__ import annotations

import streamlit as st

from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.models.learned_weights import waits_for_features
from al_core.progress import Work
from al_core.store.records import Batch
from al_core.store.store import Store
from al_desk.server.resources import trainer

SHARES = (0.5, 1.0)  # of a batch; when so much of it is answered, the head is fit again


def answered(experiment: Experiment, batch: Batch) -> set[int]:
    """The images of a batch that were answered in this tab or before; to be added to."""
    known: set[int] = st.session_state.setdefault(
        f"answered-{batch.id}", experiment.pool.answers.keys() & set(batch.images)
    )
    return known


def refit_when_due(
    store: Store, experiment: Experiment, batch: Batch, dataset: Dataset, done: set[int]
) -> None:
    """Fit the head in the background, once for each of the SHARES of the batch."""
    if experiment.config.model.head != "linear" or batch.round != experiment.next_round:
        return
    if waits_for_features(experiment.config, experiment.fingerprint):
        return
    due = sum(len(done) >= share * len(batch.images) for share in SHARES)
    key = f"experiment {experiment.id}, batch {batch.id}, fit {due}"
    if due and trainer().job(key) is None:
        trainer().submit(key, lambda: _refit(store, experiment.id, dataset))


def _refit(store: Store, experiment_id: int, dataset: Dataset) -> Work[None]:
    # In the worker's thread, since torch takes seconds to import.
    from al_core.loop.advance import refit
    from al_core.models.hardware import find_hardware

    yield from refit(store, experiment_id, dataset, find_hardware())
