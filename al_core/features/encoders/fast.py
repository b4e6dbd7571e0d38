"""A trained network for inference only: the same embeddings in fewer passes over memory.

On a CPU, plain PyTorch spends half of its time between the products of a network, or on laying out
their weights anew. No compiler is needed for this: what a network does is written down as a graph,
in which neighbours become one operation of oneDNN.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from al_core.features.encoders.fused import FUSES
from al_core.features.encoders.graph import graphs_of, norms_apart, optional_arguments
from al_core.features.encoders.shortening import shorten
from al_core.models.hardware import Hardware, cpu_has_bf16
from al_core.seeds import generator

CLOSE = 1e-3  # of the embeddings' length, in fp32; what differs by more is another network


def faster(network: nn.Module, hardware: Hardware) -> nn.Module:
    """A network that gives the same for ``[N,3,H,W]`` in the hardware's dtype, by a faster way; the
    network itself is not changed, but its tensors may be shared.

    Both are tried on a random image in fp32. Where they differ, or a network cannot be followed, it
    is the plain one. Batches of 8 images are large enough.
    """
    # Weights stay as trainable as they were: where rows do not lie one behind the other, torch's
    # own linear layers are several times faster by weights that may be trained.
    plain = _twin(network).eval()
    on_cpu = hardware.device.type == "cpu"
    knows_dtype = hardware.dtype == torch.float32 or (
        hardware.dtype == torch.bfloat16 and cpu_has_bf16()
    )
    if FUSES and on_cpu and knows_dtype:
        plain = plain.float().cpu()
        fast = _fused(plain)
        plain = plain if fast is None else fast
    plain.to(hardware.device, hardware.dtype)
    for part in plain.modules():  # one by one: it is an error for what has more than two sides
        if isinstance(part, nn.Conv2d):
            part.to(memory_format=torch.channels_last)
    return plain


@torch.no_grad()
def _fused(plain: nn.Module) -> nn.Module | None:
    """The network in fp32 by a faster way, or None if it cannot be had."""
    image = torch.randn(2, *_size(plain), generator=generator(0, "faster"))
    try:
        right = plain(image)
        fast = _twin(plain)
        called_with = optional_arguments(fast, image)
        norms_apart(fast)
        fast = graphs_of(fast, called_with)
        for part in fast.modules():
            if isinstance(part, fx.GraphModule):
                shorten(part)
        ours = fast(image)
    except Exception:  # somebody else's code, which may do anything
        return None
    if not isinstance(right, Tensor) or not isinstance(ours, Tensor) or ours.shape != right.shape:
        return None
    return fast if (ours - right).norm() <= CLOSE * right.norm() else None


def _twin(network: nn.Module) -> nn.Module:
    """A copy that shares the network's tensors: three of hundreds of MB would be too many."""
    parameters = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in network.parameters()}
    return copy.deepcopy(network, {**parameters, **{id(b): b for b in network.buffers()}})


def _size(network: Any) -> tuple[int, int, int]:
    """``(channels, H, W)`` of the images that a network takes."""
    side = getattr(getattr(network, "patch_embed", None), "img_size", None)
    side = side or getattr(network, "image_size", None)
    if side is not None:
        height, width = (side, side) if isinstance(side, int) else side
        return 3, height, width
    told = getattr(network, "pretrained_cfg", None) or {}
    channels, height, width = told.get("input_size", (3, 224, 224))
    return channels, height, width
