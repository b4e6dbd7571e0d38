"""ResNet-18 as torchvision builds it: images in, embeddings and logits out.

There are two stems. torchvision's own (7x7, stride 2, max-pool) shrinks a 32x32 image to 8x8 at
once, which a CPU can afford. The one for small images (3x3, no pooling) keeps every pixel, costs 15
times as much, and is worth it on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import resnet18

from al_core.config import Stem
from al_core.models.convolution import Conv3x3
from al_core.models.hardware import Hardware

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PART = 64  # images, at most, that batch norm's statistics are taken from at once


class Network(nn.Module):
    """ResNet-18 that takes uint8 images and normalises them itself.

    Parameters
    ----------
    classes
        Number of outputs.
    small_stem
        A 3x3 stem without max-pool instead of torchvision's own.
    mean, std
        Per channel, for pixels from 0 to 1; buffers, so they are saved with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, classes: int, small_stem: bool, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.backbone = resnet18(weights=None, num_classes=classes)
        if small_stem:
            channels = self.backbone.bn1.num_features
            self.backbone.conv1 = nn.Conv2d(3, channels, 3, stride=1, padding=1, bias=False)
            self.backbone.maxpool = nn.Identity()
        for name, conv in list(self.backbone.named_modules()):
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and name != "conv1":
                ours = Conv3x3(conv.in_channels, conv.out_channels, conv.stride[0])
                self.backbone.set_submodule(name, ours)
        self.frozen_norms: list[nn.BatchNorm2d] = []
        self.head: nn.Linear = self.backbone.fc
        self.backbone.fc = nn.Identity()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    def embed(self, images: Tensor) -> Tensor:
        """``[N,3,H,W]`` from 0 to 255, uint8 or float, to ``[N,512]``, what the head sees."""
        pixels = (images.float().div(255) - self.mean.float()) / self.std.float()
        embeddings: Tensor = self.backbone(pixels.to(self.head.weight.dtype))
        return embeddings

    def freeze_norms(self, images: Tensor) -> None:
        """Take the statistics of batch norm from ``images``, uint8 ``[N,3,H,W]``, N >= 2, for good.

        Then no image's features depend on the others of its batch: where few are repeated in each,
        their statistics are not those of the images to predict.
        """
        self.frozen_norms = [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in self.frozen_norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all parts
            norm.train()
        with torch.no_grad():
            for part in images.tensor_split(-(-len(images) // PART)):
                self.embed(part)
        self.train(self.training)

    def train(self, mode: bool = True) -> Network:
        """As any module's, but for batch norms that are frozen."""
        super().train(mode)
        for norm in self.frozen_norms:
            norm.eval()
        return self

    def calibrate(self, temperature: float) -> None:
        """Divide the logits by ``temperature``, for good."""
        with torch.no_grad():
            self.head.weight.div_(temperature)
            self.head.bias.div_(temperature)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 ``[N,3,H,W]`` to logits ``[N,classes]``."""
        logits: Tensor = self.head(self.embed(images))
        return logits


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """Weights to start from: the ``backbone`` by torchvision's names, without the last layer; the
    normalisation it was trained with, per channel; a ``digest`` that identifies them; and the
    ``size`` of the images it learned from, in pixels."""

    backbone: dict[str, Tensor]
    mean: Sequence[float]
    std: Sequence[float]
    digest: str
    size: int

    @property
    def stem(self) -> Stem:
        """The stem they were trained with."""
        return "small" if self.backbone["conv1.weight"].shape[2] == 3 else "torchvision"


def channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of ``images`` ``[N,3,H,W]``, on a scale of 0 to 1.

    Skips evenly through more than 10,000 images: 5,000 are enough for the third decimal.
    """
    sample = images[:: max(1, len(images) // 5000)].astype(np.float32) / 255
    std = np.maximum(sample.std(axis=(0, 2, 3)), 1e-3)  # a constant channel has 0
    return sample.mean(axis=(0, 2, 3)).tolist(), std.tolist()


def build(
    classes: int,
    stem: Stem,
    hardware: Hardware,
    images: NDArray[np.uint8],
    generator: torch.Generator,
    pretrained: Pretrained | None = None,
) -> Network:
    """A network on ``hardware``, freshly initialised or on top of ``pretrained`` weights.

    ``images`` ``[N,3,H,W]`` give the normalisation of a network without pretrained weights. A stem
    other than that of the weights starts fresh. ``generator`` is a CPU generator, so that the same
    seed gives the same weights on every device.
    """
    if stem == "auto":
        for_small_images = hardware.device.type != "cpu"
        if pretrained is not None:
            for_small_images |= pretrained.stem == "small"
        stem = "small" if for_small_images else "torchvision"
    small_stem = stem == "small"
    if pretrained is None:
        mean, std = channel_statistics(images)
    else:
        mean, std = list(pretrained.mean), list(pretrained.std)
    with torch.device("meta"):  # nothing drawn from the global generator
        shape = Network(classes, small_stem, (0, 0, 0), (1, 1, 1))
    network = shape.to_empty(device="cpu")
    _initialise(network, generator)
    network.mean.copy_(torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
    network.std.copy_(torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))
    if pretrained is not None:
        fits = dict(pretrained.backbone)
        if stem != pretrained.stem:
            del fits["conv1.weight"]
        network.backbone.load_state_dict(fits, strict=False)
    return network.to(hardware.device).to(memory_format=torch.channels_last)


def _initialise(network: Network, generator: torch.Generator) -> None:
    """torchvision's own initialisation of a ResNet, drawn from ``generator``."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    bound = network.head.in_features**-0.5
    nn.init.uniform_(network.head.weight, -bound, bound, generator=generator)
    nn.init.uniform_(network.head.bias, -bound, bound, generator=generator)
