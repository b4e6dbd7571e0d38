"""The grey line: what as many random labels would have given, trained in the background."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from al_core.experiment import Experiment
from al_core.images import Dataset
from al_core.progress import Work
from al_core.reference import can_be_measured, missing, reference
from al_core.schema import RoundRecord
from al_core.worker import JobState
from ui.resources import settle, trainer
from ui.text import plain
from ui.training import watch


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
    if dataset is None or not experiment.config.reference or not can_be_measured(dataset):
        return
    todo = missing(experiment)
    if not todo:
        return
    name = f"experiment {experiment.id}, random labels for "
    key = f"{name}{_listed(todo)}"
    job = trainer().job(key)
    if job is None:
        trainer().cancel_all(name)
        job = trainer().submit(key, lambda: _train(experiment, dataset), background=True)
    if job.active:
        watch(job, "The same number of random labels", trainer(), brief=True)
        return
    if job.state is JobState.FAILED:
        st.error(plain(job.error or ""), icon=":material/error:")
    if st.button(
        "Train on random labels",
        icon=":material/replay:",
        help="Trains on as many random labels as each round had, for the grey line.",
    ):
        trainer().forget(key)
        st.rerun()


def _listed(rounds: Sequence[RoundRecord]) -> str:
    return ", ".join(f"round {record.round} ({record.labeled:,})" for record in rounds)


def _train(experiment: Experiment, dataset: Dataset) -> Work[None]:
    # In the worker's thread, since torch takes seconds to import.
    from al_core.network import find_hardware
    from al_core.reference import run_reference

    settle("torch")
    yield from run_reference(experiment, dataset, find_hardware())
