"""The grey line: what as many random labels would have given, trained in the background."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.jobs import JobState
from al_core.progress import Work
from al_core.simulation.random_baseline import can_be_measured, missing, reference
from al_desk.server.resources import trainer
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain
from al_desk.widgets.job_progress import watch


def random_labels(experiment: Experiment) -> pd.DataFrame | None:
    """``round, labeled, accuracy`` with as many random labels, as far as they are known; None while
    that is no line."""
    known = reference(experiment)
    rows = [
        (record.round, record.labeled, known[record.round]["accuracy"])
        for record in experiment.rounds
        if known.get(record.round)
    ]
    return pd.DataFrame(rows, columns=["round", "labeled", "accuracy"]) if len(rows) > 1 else None


def keep_up(experiment: Experiment, dataset: Dataset | None) -> None:
    """Train what the line lacks, in the background: any round of an experiment goes first."""
    key = _key(experiment)
    if not experiment.config.reference:
        trainer().withdraw(key)
        return
    if dataset is None or not can_be_measured(dataset) or not missing(experiment):
        return
    job = trainer().job(key)
    # What has ended otherwise waits for a person: see show_progress.
    if job is None or job.state is JobState.DONE:
        trainer().submit(key, lambda: _train(experiment, dataset), background=True)


def show_progress(experiment: Experiment) -> None:
    """How far the training for the line is, or a button to start it again."""
    key = _key(experiment)
    job = trainer().job(key)
    if job is None or job.state is JobState.DONE:
        return
    if job.active:
        watch(job, "As many random labels", trainer(), brief=True)
        return
    if job.state is JobState.FAILED:
        st.error(plain(job.error or ""), icon=":material/error:")
    button(
        "Train on random labels",
        lambda: trainer().forget(key),
        icon=":material/replay:",
        help="Trains on as many random labels as each round had, for the grey line.",
    )


def _key(experiment: Experiment) -> str:
    """One for each experiment, however many rounds are missing: the work goes on as they change."""
    return f"experiment {experiment.id}, random labels"


def _train(experiment: Experiment, dataset: Dataset) -> Work[None]:
    # In the worker's thread, since torch takes seconds to import.
    from al_core.models.hardware import find_hardware
    from al_core.simulation.random_baseline import run_reference

    yield from run_reference(experiment, dataset, find_hardware())
