"""Random views of images, which a network that learns without labels should see as the same."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST_CROP = 0.2  # of an image's area
ASPECT = 4 / 3  # widest to highest, and the other way round
JITTER, HUE = 0.4, 0.1  # by how much brightness, contrast and saturation change; turns of the hue
JITTERED, GREY = 0.8, 0.1  # shares of the views

PLACES, COLOURS = 5, 6  # draws a view
# To luma and two colour axes, in whose plane hue is an angle (NTSC's YIQ).
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def random_views(images: Tensor, size: int, flip: bool, draws: Tensor) -> Tensor:
    """One random view of each of ``images``, ``[N,3,H,W]`` from 0 to 255, as float32
    ``[N,3,size,size]``.

    A crop of a fifth to all of the area, resized, perhaps mirrored; most with changed colours, some
    grey: Chen et al., "A simple framework for contrastive learning of visual representations"
    (2020), as used on CIFAR-10. ``draws`` ``[11,N]``, uniform from 0 to 1, on the images' device,
    hold those of each image. The whole batch takes one resampling and one linear map of colours.
    """
    n = len(images)
    shape = [n, 3, size, size]
    places = F.affine_grid(_crops(draws[:PLACES], flip), shape, align_corners=False)
    cropped = F.grid_sample(images.float(), places, padding_mode="reflection", align_corners=False)
    colours, contrast = _colours(draws[PLACES:])
    pixels = colours @ cropped.flatten(2)
    # Contrast scales the distance from the view's mean grey.
    to_yiq, *_ = _on(images.device)
    middle = (to_yiq[0] @ pixels).mean(1).view(n, 1, 1)
    contrast = contrast.view(n, 1, 1)
    return (contrast * pixels + (1 - contrast) * middle).clamp(0, 255).view(shape)


def draw_views(n: int, device: torch.device, generator: torch.Generator) -> Tensor:
    """The draws for ``n`` views, from a CPU generator: the same on every device."""
    draws = torch.rand(PLACES + COLOURS, n, generator=generator)
    if device.type == "cuda":  # the caller continues while they are copied
        draws = draws.pin_memory()
    return draws.to(device, non_blocking=True)


@cache
def _on(device: torch.device) -> list[Tensor]:
    """Matrices to YIQ, from YIQ, and to the same colours."""
    return [matrix.to(device) for matrix in (YIQ, torch.linalg.inv(YIQ), torch.eye(3))]


def _between(low: float, high: float, draws: Tensor) -> Tensor:
    return low + (high - low) * draws


def _crops(draws: Tensor, flip: bool) -> Tensor:
    """The place of each view in its image, ``[N,2,3]``, as affine_grid takes it."""
    size, shape, left, top, side = draws
    area = _between(SMALLEST_CROP, 1, size)
    aspect = _between(-math.log(ASPECT), math.log(ASPECT), shape).exp()
    width, height = ((area * ratio).sqrt().clamp_max(1) for ratio in (aspect, 1 / aspect))
    x, y = _between(-1, 1, left) * (1 - width), _between(-1, 1, top) * (1 - height)
    mirrored = side.round() * 2 - 1 if flip else torch.ones_like(x)
    none = torch.zeros_like(x)
    rows = [torch.stack(row, 1) for row in ((width * mirrored, none, x), (none, height, y))]
    return torch.stack(rows, 1)


def _colours(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Channel maps of brightness, saturation and hue, ``[N,3,3]``, and contrasts, ``[N]``."""
    to_yiq, from_yiq, same = _on(draws.device)
    brightness, saturation, contrast = _between(1 - JITTER, 1 + JITTER, draws[:3])
    angle = 2 * math.pi * _between(-HUE, HUE, draws[3])
    n = len(angle)
    turn = same.repeat(n, 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 2, 1] = angle.sin()
    turn[:, 1, 2] = -turn[:, 2, 1]
    hue = from_yiq @ turn @ to_yiq
    grey = to_yiq[0].expand(3, 3)
    faded = saturation.view(n, 1, 1) * same + (1 - saturation).view(n, 1, 1) * grey
    colours = brightness.view(n, 1, 1) * (faded @ hue)

    jittered, is_grey = draws[4] < JITTERED, (draws[5] < GREY).view(n, 1, 1)
    colours = torch.where(jittered.view(n, 1, 1), colours, same)
    contrast = torch.where(jittered, contrast, torch.ones_like(contrast))
    return torch.where(is_grey, grey @ colours, colours), contrast
