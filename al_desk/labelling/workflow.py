"""What an experiment waits for: a batch to label, a round to train, or other people."""

from __future__ import annotations

from uuid import uuid4

import streamlit as st

from al_core.experiment.experiment import Experiment, Phase, add_rounds, open_experiment
from al_core.images.dataset import Dataset
from al_core.models.learned_weights import waits_for_features
from al_core.progress import Work
from al_core.store.store import Store
from al_desk.labelling.batch import describe, hint_for_few_labels, label_batch, take_batch
from al_desk.labelling.others import wait_for_others
from al_desk.labelling.pretraining import learn_features
from al_desk.labelling.undo import take_back
from al_desk.results.headline import gain
from al_desk.widgets.buttons import button
from al_desk.widgets.job_progress import keep_running, round_key


def train_and_label(
    store: Store,
    experiment: Experiment,
    dataset: Dataset,
    annotator: str,
    show_truth: bool,
    labelling: bool,
) -> None:
    """The batch of this tab, and the round that trains meanwhile."""
    batch = take_batch(store, experiment, dataset, annotator) if labelling else None
    if batch is not None:
        st.subheader(describe(batch), anchor=False)
        if batch.round < experiment.next_round:
            st.caption("Opened again by an undo. What changes counts from the next training on.")
        if hint := hint_for_few_labels(experiment):
            st.caption(hint)
        label_batch(store, experiment, batch, dataset, annotator, show_truth)
    brief = batch is not None or not labelling
    waits = waits_for_features(experiment.config, experiment.fingerprint)
    if waits and experiment.phase is not Phase.FINISHED:
        learn_features(experiment, dataset, brief)
    elif experiment.phase is Phase.TRAINING:
        train(store, experiment, dataset, brief)
    elif experiment.phase is Phase.FINISHED and batch is None:
        finished(store, experiment)
    elif labelling and (batch is None or batch.round > experiment.next_round):
        wait_for_others(store, experiment)
    if labelling and batch is None and experiment.batches:
        offer_undo(store, experiment, annotator)


def offer_undo(store: Store, experiment: Experiment, annotator: str) -> None:
    """Undo where there is no grid that would take the key."""

    def undo() -> str | None:
        return take_back(store, experiment.id, annotator, f"button:{uuid4().hex}")

    key = f"undo-{experiment.id}"
    button("Undo the last label", undo, key, icon=":material/undo:", shortcut="u")


def train(store: Store, experiment: Experiment, dataset: Dataset, brief: bool) -> None:
    """Run the round the experiment waits for, in the background."""
    number = experiment.next_round
    last = number == experiment.config.rounds
    keep_running(
        round_key(experiment.id, number),
        lambda: _advance(store, experiment.id, dataset),
        f"Round {number}: {'the last training' if last else 'training'}",
        "Training was cancelled; nothing of it is kept.",
        f"Start round {number} again",
        brief,
    )


def _advance(store: Store, experiment_id: int, dataset: Dataset) -> Work[None]:
    # Here, in the worker's thread, and not above: torch takes seconds to import, and a page that
    # only shows a batch and a curve does without.
    from al_core.loop.advance import advance
    from al_core.models.hardware import find_hardware

    yield from advance(store, experiment_id, dataset, find_hardware())


def finished(store: Store, experiment: Experiment) -> None:
    """All rounds are done; more may follow."""
    st.success(f"All rounds are done. {gain(experiment)}", icon=":material/flag:")

    def add() -> None:
        add_rounds(store, open_experiment(store, experiment.id), 1)

    button("Label another round", add, f"add-{experiment.id}", icon=":material/add:")
