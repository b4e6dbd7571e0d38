"""Random views of images: what a network that learns without labels shall see as the same thing."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_CROP = 0.2  # of an image's area
ASPECT = 4 / 3  # widest to highest, and the other way round
JITTER, HUE = 0.4, 0.1  # by how much brightness, contrast and saturation change; turns of the hue
JITTERED, GREY = 0.8, 0.1  # shares of the views

LUMA = torch.tensor([0.299, 0.587, 0.114])
# To luma and two axes of colour, in whose plane the hue is an angle (NTSC's YIQ).
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def random_views(images: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """One random view of each of ``images``, ``[N,3,H,W]`` from 0 to 255, as float32 of that shape.

    A crop of a fifth to all of the area, resized, perhaps mirrored; most with other colours, some
    grey: Chen et al., "A simple framework for contrastive learning of visual representations"
    (2020), as it is used on CIFAR-10. Each image has draws of its own, from a CPU generator, and
    the whole batch is one resampling of places and one linear map of colours.
    """
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    places = F.affine_grid(
        _crops(uniform, flip).to(images.device), list(images.shape), align_corners=False
    )
    cropped = F.grid_sample(images.float(), places, padding_mode="reflection", align_corners=False)
    colours, contrast = (part.to(images.device) for part in _colours(uniform))
    pixels = colours @ cropped.flatten(2)
    # Contrast is a distance from the mean grey of the view.
    middle = (LUMA.to(images.device) @ pixels).mean(1).view(n, 1, 1)
    contrast = contrast.view(n, 1, 1)
    return (contrast * pixels + (1 - contrast) * middle).clamp(0, 255).view_as(cropped)


def _crops(uniform: Callable[[float, float], Tensor], flip: bool) -> Tensor:
    """Where each view lies in its image, ``[N,2,3]``, as affine_grid takes it."""
    area = uniform(SMALLEST_CROP, 1)
    aspect = uniform(-math.log(ASPECT), math.log(ASPECT)).exp()
    width, height = ((area * ratio).sqrt().clamp_max(1) for ratio in (aspect, 1 / aspect))
    x, y = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
    mirrored = uniform(0, 1).round() * 2 - 1 if flip else torch.ones_like(x)
    none = torch.zeros_like(x)
    rows = [torch.stack(row, 1) for row in ((width * mirrored, none, x), (none, height, y))]
    return torch.stack(rows, 1)


def _colours(uniform: Callable[[float, float], Tensor]) -> tuple[Tensor, Tensor]:
    """What brightness, saturation and hue do to channels, ``[N,3,3]``; and contrasts, ``[N]``."""
    brightness, saturation, contrast = (uniform(1 - JITTER, 1 + JITTER) for _ in range(3))
    angle = 2 * math.pi * uniform(-HUE, HUE)
    n = len(angle)
    turn = torch.eye(3).repeat(n, 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 2, 1] = angle.sin()
    turn[:, 1, 2] = -turn[:, 2, 1]
    hue = torch.linalg.inv(YIQ) @ turn @ YIQ
    same, grey = torch.eye(3), LUMA.expand(3, 3)
    faded = saturation.view(n, 1, 1) * same + (1 - saturation).view(n, 1, 1) * grey
    colours = brightness.view(n, 1, 1) * (faded @ hue)

    jittered = (uniform(0, 1) < JITTERED).view(n, 1, 1)
    colours = torch.where(jittered, colours, same)
    is_grey = (uniform(0, 1) < GREY).view(n, 1, 1)
    return torch.where(is_grey, grey @ colours, colours), torch.where(
        jittered.flatten(), contrast, torch.ones(n)
    )
