"""The network that learns from views of images, with its projector, optimiser and CUDA graph."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from al_core import seeds
from al_core.features.augmentations import random_views
from al_core.features.config import PretrainConfig
from al_core.features.objectives import METHODS, directions
from al_core.models import network as networks
from al_core.models.cuda_graph import Function, captured, compiled
from al_core.models.hardware import Hardware

# A crop shows 77% of an image's side on average. Views of about that size cost half as much, and
# show things as large as in the whole images that the features are for. torchvision's stem, which
# shrinks them to a sixteenth, needs all pixels.
VIEW = 0.75
COMPILES = 180  # seconds; shorter runs are not worth compiling, which takes half a minute
IMAGES_A_SECOND = 20_000  # roughly, on a GPU worth compiling for


class Learner:
    """ResNet-18, the layers of a method behind it, and the optimiser of both."""

    def __init__(
        self, images: NDArray[np.uint8], config: PretrainConfig, hardware: Hardware
    ) -> None:
        self.method, self.flip, self.hardware = METHODS[config.method], config.flip, hardware
        generator = seeds.generator(config.seed, "features", "network")
        self.network = networks.build(2, config.stem, hardware, images, generator)
        self.network.train()
        width = self.network.head.in_features
        self.layers = self.method.layers(width, generator).to(hardware.device)
        self.optimizer = torch.optim.SGD(
            [*self.network.backbone.parameters(), *self.layers.parameters()],
            lr=self.method.learning_rate,
            momentum=0.9,
            weight_decay=self.method.weight_decay,
            fused=True,
        )
        # What a checkpoint keeps the state of.
        self.parts: dict[str, Any] = {
            "network": self.network,
            "layers": self.layers,
            "optimizer": self.optimizer,
        }
        is_long = _is_worth_compiling(config, len(images), hardware)
        self.forward = compiled(self.project) if is_long else self.project
        is_small = isinstance(self.network.backbone.maxpool, nn.Identity)
        self.view_size = round((VIEW if is_small else 1) * images.shape[-1])
        self._gradient: tuple[int, Function] | None = None  # by batch size

    def learn_from(self, images: Tensor, draws: Tensor, share: float) -> tuple[Tensor, ...]:
        """Take a step on ``images``, at this ``share`` of the peak learning rate; return the loss,
        and the directions of the images' mean projections. The views are those of ``draws``."""
        n = len(images)
        # The rate scaled to this batch size: Goyal et al., "Accurate, large minibatch SGD" (2017).
        rate = self.method.learning_rate * n / self.method.batch_size
        for group in self.optimizer.param_groups:
            group["lr"] = rate * share
        if self._gradient is None or self._gradient[0] != n:
            buffers = [*self.network.buffers(), *self.layers.buffers()]
            forget = partial(self.optimizer.zero_grad, set_to_none=True)
            self._gradient = n, captured(self._add_gradient, (images, draws), buffers, forget)
        measured = self._gradient[1](images, draws)
        self.optimizer.step()
        return measured

    def _add_gradient(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        views = self.method.views
        x = random_views(images.repeat(views, 1, 1, 1), self.view_size, self.flip, draws)
        projections, predictions = (
            F.normalize(rows.float(), dim=1).view(views, len(images), -1)
            for rows in self.forward(x)
        )
        loss = self.method.loss(projections, predictions)
        loss.backward()  # type: ignore[no-untyped-call]
        means = F.normalize(projections.detach().mean(0), dim=1)
        return loss.detach(), directions(means)

    def project(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Projections of views ``[N,3,H,W]``, and predictions from them, ``[N,D]`` each."""
        on = self.hardware
        with torch.autocast(on.device.type, on.dtype, enabled=on.dtype != torch.float32):
            projections = self.layers[0](self.network.embed(views))
            return projections, self.layers[1](projections)


def _is_worth_compiling(config: PretrainConfig, images: int, hardware: Hardware) -> bool:
    """Whether a run on a GPU is long enough to compile the network for it."""
    if hardware.device.type != "cuda":
        return False
    if config.minutes is not None:
        return 60 * config.minutes >= COMPILES
    return (config.epochs or 0) * images >= COMPILES * IMAGES_A_SECOND
