"""A trained network for inference only: the same predictions in fewer passes over memory.

On a CPU, a small ResNet spends as much time between its convolutions as in them. Here batch norm
and the pixel scale are folded into the weights, ReLU and the residual sum are fused into the
convolution before them, and max-pooling compares whole rows.
"""

from __future__ import annotations

import copy
import sys
from itertools import chain
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.resnet import BasicBlock

from al_core.models.convolution import TINY, Conv3x3
from al_core.models.hardware import Hardware, cpu_has_bf16
from al_core.models.network import Network

AT_ONCE = 128 * 32 * 32  # pixels in the stem on a CPU

# oneDNN's convolution fused with what follows it. torch has no public name for it yet.
_HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_FUSED = getattr(torch.ops.mkldnn, "_convolution_pointwise", None) if _HAS_ONEDNN else None


class InferenceNetwork(nn.Module):
    """The predictions of a :class:`~al_core.models.network.Network` in eval mode, in the hardware's
    dtype; the network itself is not changed. ``at_most`` images are known to fit into memory."""

    def __init__(self, network: Network, hardware: Hardware) -> None:
        super().__init__()
        self.at_most = sys.maxsize
        backbone = copy.deepcopy(network.backbone).float().eval()
        blocks = chain(*(backbone.get_submodule(f"layer{i}") for i in range(1, 5)))
        self.stem = _Stem(backbone, network.mean.float(), network.std.float())
        self.blocks = nn.Sequential(*(_Block(block) for block in blocks))
        self.head = copy.deepcopy(network.head).float()
        self.to(hardware.device, hardware.dtype).to(memory_format=torch.channels_last)
        self.requires_grad_(False)

    def embed(self, images: Tensor) -> Tensor:
        """uint8 ``[N,3,H,W]`` to embeddings ``[N,512]``: what the head sees."""
        embeddings: Tensor = self.blocks(self.stem(images)).mean((2, 3))
        return embeddings

    def forward(self, images: Tensor) -> Tensor:
        """uint8 ``[N,3,H,W]`` to logits ``[N,classes]``."""
        logits: Tensor = self.head(self.embed(images))
        return logits


class _Stem(nn.Module):
    """Raw pixels to the first maps: their scale is in the weights, so only the mean is subtracted
    here."""

    def __init__(self, backbone: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        conv = _folded(backbone.get_submodule("conv1"), backbone.get_submodule("bn1"))
        conv.weight.data /= 255 * std
        self.first = _Convolution(conv)
        self.pools = isinstance(backbone.maxpool, nn.MaxPool2d)
        self.offsets = (255 * mean).flatten().tolist()

    def forward(self, images: Tensor) -> Tensor:
        """uint8 ``[N,3,H,W]`` to the maps that the first block sees."""
        if images.device.type != "cpu":
            return self._maps(images)
        # A few at a time, so that the largest maps stay in the processor's cache.
        few = max(1, AT_ONCE // images[0, 0].numel())
        return torch.cat([self._maps(some) for some in torch.split(images, few)])

    def _maps(self, images: Tensor) -> Tensor:
        n, channels, height, width = images.shape
        images = images.to(next(self.parameters()).dtype)
        pixels = images.new_empty(n, height, width, channels)
        for channel, offset in enumerate(self.offsets):  # in long rows, which is fast
            torch.sub(images[:, channel], offset, out=pixels[..., channel])
        maps = self.first(pixels.permute(0, 3, 1, 2), relu=not self.pools)
        return pool_and_relu(maps) if self.pools else maps


class _Block(nn.Module):
    """A basic block of ResNet: two convolutions, and the input added to their output."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.first = _Convolution(_folded(block.conv1, block.bn1))
        self.second = _Convolution(_folded(block.conv2, block.bn2))
        self.shortcut = None
        if block.downsample is not None:
            self.shortcut = _Convolution(_folded(*block.downsample))

    def forward(self, input: Tensor) -> Tensor:
        around = input if self.shortcut is None else self.shortcut(input, relu=False)
        return self.second(self.first(input), plus=around)  # type: ignore[no-any-return]


def _folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """A convolution with the batch norm after it folded in: in eval mode, a factor and a shift."""
    return fuse_conv_bn_eval(conv, norm)  # type: ignore[arg-type, type-var, return-value]


class _Convolution(nn.Module):
    """A convolution, optionally followed by a sum and ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self._matrices: dict[torch.Size, Tensor] = {}  # by map size

    def forward(self, input: Tensor, plus: Tensor | None = None, relu: bool = True) -> Tensor:
        conv = self.conv
        size = input.shape[2:]
        if input.device.type != "cpu":
            return _add_and_relu(conv(input), plus, relu)
        if isinstance(conv, Conv3x3) and prod(conv.output_size(size[0], size[1])) <= TINY:
            if size not in self._matrices:
                self._matrices[size] = conv.matrix(size[0], size[1], input.dtype)
            return _add_and_relu(conv.multiply(input, self._matrices[size]), plus, relu)
        if conv.kernel_size == (1, 1):
            pixels = input.permute(0, 2, 3, 1)[:, :: conv.stride[0], :: conv.stride[1]]
            rows = functional.linear(pixels.flatten(0, 2), conv.weight.flatten(1), conv.bias)
            return _add_and_relu(rows.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2), plus, relu)
        knows_dtype = input.dtype == torch.float32 or cpu_has_bf16()
        if _FUSED is None or not knows_dtype:
            return _add_and_relu(conv(input), plus, relu)
        how = (conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, 1)
        if plus is None:
            return _FUSED(input, *how, "relu" if relu else "none", [], "")  # type: ignore[no-any-return]
        after = "relu" if relu else None
        return _FUSED.binary(input, plus, *how, "add", 1.0, after, [], "")  # type: ignore[no-any-return]


def _add_and_relu(output: Tensor, plus: Tensor | None, relu: bool) -> Tensor:
    """What follows a convolution, in place."""
    if plus is not None:
        output = output.add_(plus)
    return output.relu_() if relu else output


def pool_and_relu(maps: Tensor) -> Tensor:
    """Max-pooling 3x3 with stride 2 and padding 1, then ReLU: rows first, then columns.

    Takes a third of the time of max_pool2d on a CPU, which also records where each maximum was.
    """
    if maps.device.type != "cpu" or maps.shape[2] % 2 or maps.shape[3] % 2:
        return functional.max_pool2d(maps, 3, 2, 1).relu_()
    for axis in (2, 3):
        lines = maps.movedim(axis, 0)
        even, odd = lines[::2], lines[1::2]
        largest = torch.maximum(even, odd)
        torch.maximum(largest[1:], odd[:-1], out=largest[1:])
        maps = largest.movedim(0, axis)
    return maps.relu_()
