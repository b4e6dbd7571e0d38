"""Where the features of an experiment come from."""

from __future__ import annotations

from safetensors import SafetensorError

from al_core.config import LEARNED
from al_core.experiment.experiment import Experiment
from al_core.models.learned_weights import card, learned_path
from al_desk.widgets.formatting import duration


def how_learned(experiment: Experiment) -> str:
    """How the features of an experiment were learned from its images, in a sentence; empty where
    they were not."""
    if experiment.config.model.weights != LEARNED:
        return ""
    try:
        about = card(learned_path(experiment.fingerprint))
        return (
            f"Its features were learned from these images without labels, by {about['method']}: "
            f"{float(about['epochs']):.1f} passes over them, each in {about['views']} views, in "
            f"{duration(float(about['seconds']))} ({about['device']})."
        )
    except (OSError, KeyError, ValueError, SafetensorError):
        return "Its features were learned from these images, but their file is missing or damaged."
