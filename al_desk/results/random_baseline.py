"""The random baseline: as many labels, chosen at random, trained on in the background."""

from __future__ import annotations

import pandas as pd

from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.jobs import Job, JobState
from al_core.models.metrics import Measure, estimate
from al_core.progress import Work
from al_core.simulation.random_baseline import baseline_metrics, can_be_measured, missing
from al_desk.server.resources import trainer
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import show_error
from al_desk.widgets.job_progress import under_way, watch


def random_baseline(experiment: Experiment, measure: Measure) -> pd.DataFrame | None:
    """``round, labeled, share`` of the random baseline, as far as it is known; None while there
    are too few points for a line."""
    known = baseline_metrics(experiment)
    rows = [
        (record.round, record.labeled, estimate(known[record.round], measure).value)
        for record in experiment.rounds
        if known.get(record.round)
    ]
    return pd.DataFrame(rows, columns=["round", "labeled", "share"]) if len(rows) > 1 else None


def keep_up(experiment: Experiment, dataset: Dataset | None) -> None:
    """Train what the baseline lacks, in the background: every round of an experiment goes first."""
    key = _key(experiment)
    if not experiment.config.random_baseline:
        trainer().withdraw(key)
        return
    if dataset is None or not can_be_measured(dataset) or not missing(experiment):
        return
    job = trainer().job(key)
    # One that failed or was cancelled waits for a person: see show_progress.
    if job is None or job.state is JobState.DONE:
        trainer().submit(key, lambda: _train(experiment, dataset), background=True)


def in_training(experiment: Experiment) -> Job | None:
    """The training of the baseline while it goes on; to be asked before what is known of it."""
    return under_way(trainer(), _key(experiment))


def show_progress(experiment: Experiment, training: Job | None) -> None:
    """How far the ``training`` of the baseline is, or a button to start it again."""
    if training := training or in_training(experiment):
        watch(training, "Random baseline", trainer(), brief=True)
        return
    key = _key(experiment)
    job = trainer().job(key)
    if job is None or job.state is JobState.DONE:
        return
    if job.state is JobState.FAILED:
        show_error(job.error)
    button(
        "Train the random baseline",
        lambda: trainer().forget(key),
        icon=":material/replay:",
        help="Trains on as many random labels as each round had, to compare the curve with.",
    )


def _key(experiment: Experiment) -> str:
    """One per experiment, however many rounds are missing: the work goes on as they change."""
    return f"experiment {experiment.id}, random labels"


def _train(experiment: Experiment, dataset: Dataset) -> Work[None]:
    from al_core.models.hardware import find_hardware
    from al_core.simulation.random_baseline import train_baseline

    yield from train_baseline(experiment, dataset, find_hardware())
