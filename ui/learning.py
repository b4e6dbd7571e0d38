"""Features that an experiment's heads are to be trained on, learned while a person labels."""

from __future__ import annotations

from safetensors import SafetensorError

from al_core.config import LEARNED
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.models.learned_weights import card, learned_path
from al_core.progress import Work
from ui.training import duration, keep_running


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


def how_learned(experiment: Experiment) -> str:
    """Where the features of an experiment come from, in a sentence; empty where they were not
    learned from its images."""
    if experiment.config.model.weights != LEARNED:
        return ""
    try:
        said = card(learned_path(experiment.fingerprint))
        return (
            f"Its features were learned from these images without labels, by {said['method']}: "
            f"{float(said['epochs']):.1f} passes over them, each in {said['views']} views, in "
            f"{duration(float(said['seconds']))} ({said['device']})."
        )
    except (OSError, KeyError, ValueError, SafetensorError):
        return "Its features were learned from these images, but their file is gone or damaged."


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
