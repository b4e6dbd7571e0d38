"""Features that an experiment's heads are to be trained on, learned while a person labels."""

from __future__ import annotations

from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.models.learned_weights import learned_path
from al_core.progress import Work
from al_desk.widgets.job_progress import keep_running


def learn_features(experiment: Experiment, dataset: Dataset, brief: bool) -> None:
    """Learn features from the images of an experiment that waits for them, in the background."""
    keep_running(
        f"experiment {experiment.id}, learning features",
        lambda: _learn(experiment, dataset),
        "Learning features from these images",
        "Learning features was stopped; what was learned so far is kept.",
        "Go on learning features",
        brief,
        aside=True,
    )


def _learn(experiment: Experiment, dataset: Dataset) -> Work[None]:
    # In the worker's thread, since torch takes seconds to import.
    from al_core.config import PretrainConfig
    from al_core.features.pretrain import pretrain
    from al_core.models.hardware import find_hardware

    model, train = experiment.config.model, experiment.config.train
    config = PretrainConfig(minutes=model.learn_minutes, stem=model.stem, flip=train.flip)
    path = learned_path(dataset.fingerprint)
    if not path.exists():  # another experiment on these images may have been first
        yield from pretrain(dataset, config, find_hardware(), path)
