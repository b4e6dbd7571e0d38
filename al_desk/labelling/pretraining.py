"""Learning features from the images alone while a person labels."""

from __future__ import annotations

from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.models.learned_weights import learned_path
from al_core.progress import Work
from al_desk.context import DeskContext
from al_desk.widgets.job_progress import Task, keep_running


def learn_features(context: DeskContext, brief: bool) -> None:
    """Learn the features that an experiment waits for, in the background."""
    task = Task(
        f"experiment {context.experiment.id}, learning features",
        lambda: _learn(context.experiment, context.dataset),
        "Learning features from these images",
        "Learning features was stopped; what was learned so far is kept.",
        "Go on learning features",
        background=True,
    )
    keep_running(task, brief)


def _learn(experiment: Experiment, dataset: Dataset) -> Work[None]:
    # Imported in the worker's thread, since torch takes seconds to import.
    from al_core.config import PretrainConfig
    from al_core.features.pretrain import pretrain
    from al_core.models.hardware import find_hardware

    model, train = experiment.config.model, experiment.config.train
    config = PretrainConfig(minutes=model.learn_minutes, stem=model.stem, flip=train.flip)
    path = learned_path(dataset.fingerprint)
    if not path.exists():  # another experiment on these images may have been first
        yield from pretrain(dataset, config, find_hardware(), path)
