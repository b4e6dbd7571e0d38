"""Where the features of an experiment come from."""

from __future__ import annotations

from safetensors import SafetensorError

from al_core.config import LEARNED
from al_core.experiment.experiment import Experiment
from al_core.models.learned_weights import card, learned_path
from al_desk.widgets.job_progress import duration


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
