"""Where the weights learned from a pool's own images are kept; imports no torch."""

from __future__ import annotations

from pathlib import Path

from al_core.config import LEARNED, ExperimentConfig
from al_core.files.paths import home


def learned_path(fingerprint: str) -> Path:
    """The file of the weights learned from the images with this fingerprint."""
    return home() / "weights" / f"learned-{fingerprint[:24]}.safetensors"


def waits_for_features(config: ExperimentConfig, fingerprint: str) -> bool:
    """Whether an experiment needs features that have yet to be learned from its images."""
    return config.model.weights == LEARNED and not learned_path(fingerprint).exists()


def card(path: Path) -> dict[str, str]:
    """The metadata of a weights file: by which method they were learned, for how long, where."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}
