"""Where the weights lie that were learned from a pool's own images; imports no torch."""

from __future__ import annotations

from pathlib import Path

from al_core.config import LEARNED, ExperimentConfig
from al_core.files.paths import home


def learned_path(fingerprint: str) -> Path:
    """The file of the weights that are learned from the images with that fingerprint."""
    return home() / "weights" / f"learned-{fingerprint[:24]}.safetensors"


def waits_for_features(config: ExperimentConfig, fingerprint: str) -> bool:
    """Whether an experiment needs features that are still to be learned from its images."""
    return config.model.weights == LEARNED and not learned_path(fingerprint).exists()


def card(path: Path) -> dict[str, str]:
    """What a file of weights says of itself: by which method they were learned, how long, where."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}
