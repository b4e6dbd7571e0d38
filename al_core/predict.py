"""predict(): what a network says of images; evaluate(): how right it is."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock

from al_core.mistakes import wilson_interval
from al_core.network import Conv3x3, Hardware, Network
from al_core.progress import Progress, Work

BATCH_SIZE = 512
CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """``probs`` float32 ``[N,C]``, rows sum to 1; ``embeddings`` float16 ``[N,D]``.

    Half precision halves what 50,000 embeddings take, 100 MB, and is what they are worth: bf16
    computed them.
    """

    probs: Tensor
    embeddings: Tensor


@dataclass(frozen=True, slots=True)
class Metrics:
    """How right predictions are on images whose truth is known.

    ``accuracy`` on so many ``images``, with ``interval``, its 95% Wilson interval; ``nll``, the
    mean negative log-likelihood in nats; ``ece``, the expected calibration error;
    ``confusion[truth][said]``, counts.
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    nll: float
    ece: float
    confusion: list[list[int]]


def for_inference(network: Network, hardware: Hardware) -> Network:
    """A copy of ``network`` in eval mode and in the hardware's fast dtype; it is left alone.

    Batch norm is folded into the convolutions before it, in fp32, since there it is a factor and a
    shift that no longer change.
    """
    fast = copy.deepcopy(network).float().eval()
    backbone = fast.backbone
    _fold(backbone, "conv1", "bn1")
    for block in backbone.modules():
        if isinstance(block, BasicBlock):
            _fold(block, "conv1", "bn1")
            _fold(block, "conv2", "bn2")
            if block.downsample is not None:
                _fold(block.downsample, "0", "1")
    for module in fast.modules():
        if isinstance(module, Conv3x3):
            module.is_frozen = True
    return fast.to(hardware.dtype).to(memory_format=torch.channels_last)


def _fold(parent: nn.Module, conv: str, norm: str) -> None:
    """Let ``parent``'s convolution do what its batch norm does as well."""
    both = parent.get_submodule(conv), parent.get_submodule(norm)
    parent.set_submodule(conv, fuse_conv_bn_eval(*both))  # type: ignore[arg-type, type-var]
    parent.set_submodule(norm, nn.Identity())


def predict(
    network: Network,
    images: NDArray[np.uint8] | Tensor,
    positions: NDArray[np.int64],
    hardware: Hardware,
    phase: str,
) -> Work[Predictions]:
    """Probabilities and embeddings of ``images[positions]``, ``images`` uint8 ``[N,3,H,W]``.

    ``network`` comes from :func:`for_inference`.
    """
    n = len(positions)
    probs = torch.empty(n, network.head.out_features)
    embeddings = torch.empty(n, network.head.in_features, dtype=torch.float16)
    start = time.perf_counter()
    for end in range(BATCH_SIZE, n + BATCH_SIZE, BATCH_SIZE):
        # The last block reaches back into the one before: nothing is compiled for another size.
        rows = slice(max(min(end, n) - BATCH_SIZE, 0), min(end, n))
        batch = torch.as_tensor(images[positions[rows]]).to(hardware.device)
        with torch.inference_mode():
            batch = batch.contiguous(memory_format=torch.channels_last)
            features = network.embed(batch)
            logits = network.head(features)
        embeddings[rows] = features.half().cpu()
        probs[rows] = logits.float().softmax(1).cpu()
        yield Progress(phase, rows.stop, n, "images", time.perf_counter() - start)
    return Predictions(probs, embeddings)


def evaluate(probs: Tensor, targets: Tensor) -> Metrics:
    """Compare ``probs`` ``[N,C]`` with the truth ``targets`` int64 ``[N]``, N at least 1.

    ECE as in Guo et al., "On calibration of modern neural networks" (2017), 15 equal bins.
    """
    n, classes = probs.shape
    confidence, said = probs.max(1)
    right = said == targets
    nll = -probs[torch.arange(n), targets].clamp_min(1e-12).log().mean()
    bins = (confidence * CALIBRATION_BINS).long().clamp_max(CALIBRATION_BINS - 1)
    gap = torch.zeros(CALIBRATION_BINS).index_add_(0, bins, right.float() - confidence)
    confusion = torch.bincount(targets * classes + said, minlength=classes**2)
    hits = int(right.sum())
    return Metrics(
        images=n,
        accuracy=hits / n,
        interval=wilson_interval(hits, n),
        nll=nll.item(),
        ece=(gap.abs().sum() / n).item(),
        confusion=confusion.view(classes, classes).tolist(),
    )
