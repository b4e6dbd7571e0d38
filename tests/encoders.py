"""Encoders that tests see with: a narrow ResNet-18 in a file, and timm's networks, tiny."""

from pathlib import Path

from al_core.config import ModelConfig
from al_core.features.encoders.encoder import Encoder
from al_core.features.encoders.find import encoder_of
from al_core.progress import finish


def frozen(weights: Path | str, **how: str) -> ModelConfig:
    """The settings of a linear head on the features of ``weights``."""
    return ModelConfig(str(weights), head="linear", **how)


def at(weights: Path | str, size: int, **how: str) -> Encoder:
    """The encoder of ``weights`` for images of ``size`` pixels."""
    return finish(encoder_of(frozen(weights, **how), "", size))
