"""The encoder of a name, wherever its weights come from."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from al_core.config import OPEN_CLIP, WEIGHTS, ModelConfig
from al_core.errors import WeightsError
from al_core.features.encoders.encoder import Encoder
from al_core.features.encoders.open_clip_weights import check_open_clip, is_kept, open_clip_encoder
from al_core.features.encoders.timm_weights import (
    FILES,
    architecture_of,
    check_timm,
    encoder_of_file,
    timm_encoder,
)
from al_core.files.hub import cached
from al_core.files.paths import located
from al_core.models import network as networks
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import CPU, Hardware, find_hardware
from al_core.models.network import Pretrained
from al_core.models.weights import pretrained_weights, read_weights
from al_core.pictures.square import Square, scaling
from al_core.progress import Work
from al_core.seeds import generator


def encoder_of(model: ModelConfig, fingerprint: str, size: int | None = None) -> Work[Encoder]:
    """The encoder that a ``model`` names, for images of ``size`` pixels, its own if None;
    ``learned`` weights are those of the images with this ``fingerprint``. Raises WeightsError where
    its weights cannot be had or used."""
    weights = model.weights
    if model.is_of_library:
        of_library = open_clip_encoder if model.knows_words else timm_encoder
        return (yield from of_library(weights, size))
    if weights in WEIGHTS:
        pretrained = yield from pretrained_weights(weights, fingerprint)
        if pretrained is None:
            raise WeightsError("Without weights there are no features; choose some.")
        return resnet18(weights, pretrained, size)
    path = located(weights)
    architecture = model.architecture or architecture_of(path)
    if architecture and architecture != RESNET18:
        return encoder_of_file(path, architecture, size)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return resnet18(str(path), _read(path, changed), size)


def opened(model: ModelConfig, fingerprint: str, size: int | None = None) -> Work[None]:
    """Show that the weights of a ``model`` are there and can be used, before anything is begun with
    them, or that a hub would give them, and that it takes images of ``size`` pixels; raises
    WeightsError as :func:`encoder_of` does."""
    if model.knows_words:
        check_open_clip(model.weights)
    elif model.is_of_library:
        check_timm(model.weights, size)
    elif model.is_frozen:
        encoder = yield from encoder_of(model, fingerprint, size)
        encoder.build(CPU)
    else:
        yield from pretrained_weights(model.weights, fingerprint)


def could_be_had(name: str, reached: bool) -> bool:
    """Whether an encoder that is offered is on this machine, or a hub that is ``reached`` has it,
    and what it needs is installed."""
    if name.startswith(OPEN_CLIP):
        return find_spec("open_clip") is not None and (reached or is_kept(name))
    return reached or cached(name, FILES[0]) is not None  # timm's names are their repositories


RESNET18 = "resnet18"  # its name in timm
SMALL = 64  # pixels a side, up to which it computes in fp32


@lru_cache(2)
def _read(path: Path, changed: int) -> Pretrained:
    """Cached: each round of a head asks which features it learns from."""
    return read_weights(path)


def resnet18(name: str, pretrained: Pretrained, size: int | None = None) -> Encoder:
    """ResNet-18 with the stem and the normalisation of its weights."""
    square = Square(size or pretrained.size)
    # Small images are done soon, and their features are kept by earlier releases.
    dtype = find_hardware().dtype if square.size > SMALL else torch.float32
    digest = pretrained.digest + "-bf16" * (dtype == torch.bfloat16)
    if square.size > SMALL:
        digest += "-" + scaling()[0].replace(" ", "-")
    width = len(pretrained.backbone["layer4.1.bn2.weight"])
    return Encoder(name, digest, width, square, lambda: pretrained, _resnet18, dtype)


def _resnet18(pretrained: Pretrained, hardware: Hardware) -> InferenceNetwork:
    nothing = np.empty((0, 3, 1, 1), dtype=np.uint8)
    chance = generator(0, "unused head")
    net = networks.build(1, pretrained.stem, hardware, nothing, chance, pretrained)
    return InferenceNetwork(net, hardware)
