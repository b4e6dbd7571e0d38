"""What an experiment waits for: a batch to label, a round to train, or other people."""

from __future__ import annotations

import time
from datetime import UTC, timedelta
from uuid import uuid4

import streamlit as st

from al_core.analysis.classes import gaps_of
from al_core.experiment.experiment import Phase
from al_core.experiment.leases import close_round, held_by_others
from al_core.experiment.settings import add_rounds
from al_core.features.config import PretrainConfig
from al_core.jobs import JobState
from al_core.models.learned_weights import learned_path, waits_for_features
from al_core.names import counted
from al_core.progress import Work
from al_desk.context import DeskContext
from al_desk.labelling.batch import FOCUS, describe, hint_for_few_labels, label_batch, take_batch
from al_desk.labelling.split_tests import label_split_tests
from al_desk.results.headline import gain
from al_desk.routes.take_back import take_back
from al_desk.server.resources import is_gone, this_tab, trainer
from al_desk.server.rounds import embedding_of, round_key
from al_desk.setup.training_settings import training_settings
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import errors_shown, show_error, show_info
from al_desk.widgets.job_progress import Task, keep_running, watch


def train_and_label(context: DeskContext, labelling: bool) -> None:
    """The batch of this tab, if it is ``labelling``, and the round that trains meanwhile."""
    experiment = context.experiment
    batch = take_batch(context) if labelling else None
    if batch is not None:
        with st.container():  # a grid that moves down or up is drawn anew, and keys are lost
            st.subheader(describe(batch), anchor=False)
            if batch.round < experiment.next_round:
                st.caption("Opened again by an undo. Changes count from the next training on.")
            if batch.model is None and batch.reasons and batch.reasons.top:
                st.caption("Sorted by what the encoder makes of the names of the classes.")
            if hint := hint_for_few_labels(experiment):
                st.caption(hint)
        label_batch(context, batch)
    if labelling:
        label_split_tests(context)
    brief = batch is not None or not labelling
    waits = waits_for_features(experiment.config, experiment.fingerprint)
    if context.dataset.is_outline:
        return  # no image is read yet, and whoever labels meanwhile needs none
    embed_behind(context)
    if waits and experiment.phase is not Phase.FINISHED:
        learn_features(context, brief)
    elif experiment.phase is Phase.TRAINING:
        train(context, brief)
    elif experiment.phase is Phase.FINISHED and batch is None:
        finished(context)
    elif labelling and (batch is None or batch.round > experiment.next_round):
        wait_for_others(context)
    if labelling and batch is None and experiment.batches:  # no grid that would take the key

        def undo() -> str | None:
            who, event = (this_tab(), context.annotator), f"button:{uuid4().hex}"
            done = take_back(context.store, experiment.id, event, who)
            if isinstance(done, str):
                return done
            st.session_state[FOCUS] = (done[0], time.time_ns() // 1_000_000)
            return None

        key = f"undo-{experiment.id}"
        button("Undo the last label", undo, key, icon=":material/undo:", shortcut="u")


def train(context: DeskContext, brief: bool) -> None:
    """Run the round the experiment waits for, in the background."""
    number = context.experiment.next_round
    last = number == context.experiment.config.rounds
    task = Task(
        round_key(context.experiment.id, number),
        lambda: _advance(context),
        f"Round {number}: {'the last training' if last else 'training'}",
        "Training was cancelled; nothing of it is kept.",
        f"Start round {number} again",
        mend=lambda: _mend(context),
    )
    keep_running(task, brief)


def embed_behind(context: DeskContext) -> None:
    """Embed the images that are not yet, in the background, and say how far that is."""
    job = embedding_of(context.experiment, context.dataset)
    if job is None or job.state is JobState.DONE:
        return
    if job.active:
        watch(job, "Looking at the images, while you label", trainer(), brief=True)
        return
    if job.error:
        show_error(job.error)
    else:
        show_info("Looking at the images was stopped: batches are chosen among those seen so far.")
    button("Go on", lambda: trainer().forget(job.key), f"again-{job.key}", icon=":material/replay:")


def _mend(context: DeskContext) -> None:
    """The settings of a training that has failed: what its message advises can be done here."""
    with st.expander(
        "Change its settings first", icon=":material/tune:", expanded=True, key="settings-of-failed"
    ):
        training_settings(context.store, context.experiment.id, "failed")


def _advance(context: DeskContext) -> Work[None]:
    from al_core.loop.advance import advance
    from al_core.models.hardware import find_hardware

    store, number = context.store, context.experiment.id
    yield from advance(store, number, context.dataset, find_hardware(), so_far=True)


def learn_features(context: DeskContext, brief: bool) -> None:
    """Learn the features that an experiment waits for, in the background."""
    task = Task(
        f"experiment {context.experiment.id}, learning features",
        lambda: _learn(context),
        "Learning features from these images",
        "Learning features was stopped; what was learned so far is kept.",
        "Go on learning features",
        background=True,
    )
    keep_running(task, brief)


def _learn(context: DeskContext) -> Work[None]:
    from al_core.features.pretrain import pretrain
    from al_core.models.hardware import find_hardware

    model, train = context.experiment.config.model, context.experiment.config.train
    config = PretrainConfig(minutes=model.learn_minutes, stem=model.stem, flip=train.flip)
    path = learned_path(context.dataset.learned_for)
    if not path.exists():  # another experiment on these images may have been first
        yield from pretrain(context.dataset, config, find_hardware(), path)


def finished(context: DeskContext) -> None:
    """All rounds are done; more may follow."""
    # Green would say that all is well.
    shown = st.info if gaps_of(context.experiment).forbid_verdicts else st.success
    shown(f"All rounds are done. {gain(context.experiment)}", icon=":material/flag:")

    def add() -> None:
        add_rounds(context.store, context.reread(), 1)

    key = f"add-{context.experiment.id}"
    button("Label another round", add, key, icon=":material/add:")


def wait_for_others(context: DeskContext) -> None:
    """Say who is still labelling the round that trains next, and offer to go on without them."""
    experiment = context.experiment
    if others := held_by_others(experiment, experiment.next_round, this_tab(), is_gone):
        _others(context, len(others))


@st.fragment(run_every=2.0)
@errors_shown()
def _others(context: DeskContext, known: int) -> None:
    number = context.experiment.next_round
    close_round(context.store, context.experiment.id, number, is_gone)
    experiment = context.reread()
    others = held_by_others(experiment, number, this_tab(), is_gone)
    if len(others) != known:
        st.rerun(scope="app")
    answers = experiment.pool.answers
    asked = [image for batch in others for image in batch.images]
    done = sum(image in answers for image in asked)
    lapse = max(batch.leased_until for batch in others if batch.leased_until).astimezone(UTC)
    lapse -= timedelta(minutes=st.context.timezone_offset or 0)  # as the browser's clock shows it
    st.info(
        f"Round {number} waits for what others still label: {done} of "
        f"{counted(len(asked), 'image')}. "
        f"If they stay silent, it goes on without them at {lapse:%H:%M}.",
        icon=":material/group:",
    )

    def go_on() -> None:
        for batch in others:
            context.store.hand_in(batch.id)

    button("Go on without them", go_on, help="Their labels so far are kept.")
