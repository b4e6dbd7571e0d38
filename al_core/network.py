"""ResNet-18 as torchvision builds it: images in, embeddings and logits out.

Two stems. torchvision's own (7x7, stride 2, max-pool) shrinks a 32x32 image to 8x8 at once, which
is what a CPU can afford; the one for small images (3x3, no pooling) keeps every pixel, costs 15
times as much, and is worth it on a GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from al_core.config import Stem

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


TINY = 4  # pixels; with no more, a 3x3 convolution meets more padding than pixels


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with padding 1 that does not multiply by padding.

    Behind torchvision's stem a 32x32 image is 2x2 pixels in the third stage and one in the last,
    where five and eight of nine weights meet only zeros. As one matrix from all pixels to all
    pixels, the same sums are a matrix product without them, the fastest thing a machine does.
    Leaving out zeros changes no result.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """``[N,in,H,W]`` to ``[N,out,H/stride,W/stride]``, rounded up."""
        _, _, height, width = input.shape
        if height * width > TINY or input.device.type != "cpu":  # a GPU does not wait for padding
            return super().forward(input)
        return self.multiply(input, self.matrix(height, width, input.dtype))

    def multiply(self, input: Tensor, matrix: Tensor) -> Tensor:
        """The same, with its matrix for maps of that size."""
        n, _, height, width = input.shape
        rows, columns = self.output_size(height, width)
        bias = None if self.bias is None else self.bias.repeat(rows * columns)
        pixels = functional.linear(input.permute(0, 2, 3, 1).reshape(n, -1), matrix, bias)
        return pixels.view(n, rows, columns, self.out_channels).permute(0, 3, 1, 2)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of what comes out of maps of that size."""
        return -(-height // self.stride[0]), -(-width // self.stride[1])

    def matrix(self, height: int, width: int, dtype: torch.dtype) -> Tensor:
        """The convolution of ``height`` x ``width`` pixels as ``[pixels * out, pixels * in]``."""
        seen_by = _taps(height, width, self.stride[0])
        to, of = seen_by.shape
        taps = self.weight.to(dtype).permute(2, 3, 0, 1).flatten(0, 1).unbind()
        taps = (*taps, torch.zeros_like(taps[0]))
        # One after another, and not by an index, whose gradient is summed in any order.
        blocks = torch.stack([taps[tap] for tap in seen_by.flat])
        blocks = blocks.view(to, of, self.out_channels, self.in_channels)
        return blocks.permute(0, 2, 1, 3).reshape(to * self.out_channels, of * self.in_channels)


def _taps(height: int, width: int, stride: int) -> NDArray[np.int64]:
    """Through which of a 3x3 kernel's taps 0..8 each pixel is seen from each output pixel, 9 for
    none; ``[output pixels, pixels]``."""
    y, x = (grid.ravel() for grid in np.mgrid[:height, :width])
    is_output = (y % stride == 0) & (x % stride == 0)
    down, right = y - y[is_output, None] + 1, x - x[is_output, None] + 1
    is_seen = (down >= 0) & (down < 3) & (right >= 0) & (right < 3)
    taps: NDArray[np.int64] = np.where(is_seen, 3 * down + right, 9)
    return taps


class Network(nn.Module):
    """ResNet-18 that takes uint8 images and normalises them itself.

    Parameters
    ----------
    classes
        Number of outputs.
    small_stem
        3x3 stem without max-pool instead of torchvision's own.
    mean, std
        Per channel, for pixels on a scale of 0 to 1; kept as buffers, so they travel with the
        weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, classes: int, small_stem: bool, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.backbone = resnet18(weights=None, num_classes=classes)
        if small_stem:
            self.backbone.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
            self.backbone.maxpool = nn.Identity()
        for name, conv in list(self.backbone.named_modules()):
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and name != "conv1":
                ours = Conv3x3(conv.in_channels, conv.out_channels, conv.stride[0])
                self.backbone.set_submodule(name, ours)
        self.head: nn.Linear = self.backbone.fc
        self.backbone.fc = nn.Identity()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    def embed(self, images: Tensor) -> Tensor:
        """``[N,3,H,W]`` from 0 to 255, uint8 or float, to embeddings ``[N,512]``: what the head
        sees."""
        pixels = (images.float().div(255) - self.mean.float()) / self.std.float()
        embeddings: Tensor = self.backbone(pixels.to(self.head.weight.dtype))
        return embeddings

    def forward(self, images: Tensor) -> Tensor:
        """uint8 ``[N,3,H,W]`` to logits ``[N,classes]``."""
        logits: Tensor = self.head(self.embed(images))
        return logits


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """Weights to start from: the ``backbone`` by torchvision's names, without the last layer; the
    normalisation it was trained with, per channel; ``digest`` tells them from others."""

    backbone: dict[str, Tensor]
    mean: Sequence[float]
    std: Sequence[float]
    digest: str

    @property
    def stem(self) -> Stem:
        """The stem they were trained with."""
        return "small" if self.backbone["conv1.weight"].shape[2] == 3 else "torchvision"


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where the network runs: the device, and the dtype its matrix products are fast in."""

    device: torch.device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """What a person calls it: the card's name, or CPU."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return {"mps": "Apple GPU"}.get(self.device.type, "CPU")

    def __str__(self) -> str:
        """All that the last bits of a result depend on."""
        dtype, threads = str(self.dtype).removeprefix("torch."), torch.get_num_threads()
        libraries = f"torch: {torch.__version__}"
        if self.device.type == "cuda":
            libraries += f", CUDA: {torch.version.cuda}, cuDNN: {_cudnn_version()}"
        return f"{self.name} in {dtype}, threads: {threads}, {libraries}"

    @property
    def exact(self) -> Hardware:
        """The same device in fp32."""
        return replace(self, dtype=torch.float32)


def find_hardware() -> Hardware:
    """The best device there is; bf16 where the device has instructions for it, else fp32.

    A card that this torch has no kernels for is left alone, with a warning.
    """
    if torch.cuda.is_available() and _computes():
        torch.backends.cudnn.deterministic = True  # the same seed, the same curve
        torch.backends.cudnn.allow_tf32 = False  # fp32 is what others are compared with
        torch.backends.cuda.matmul.allow_tf32 = False
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Hardware(torch.device("cuda"), torch.bfloat16 if bf16 else torch.float32)
    if torch.backends.mps.is_available():
        return Hardware(torch.device("mps"), torch.float32)
    return Hardware(torch.device("cpu"), torch.bfloat16 if cpu_has_bf16() else torch.float32)


def _cudnn_version() -> int:
    return torch.backends.cudnn.version() or 0  # type: ignore[no-untyped-call]


@cache
def _computes() -> bool:
    """Whether the card runs a convolution: one older than torch's kernels is found, and fails."""
    try:
        with torch.inference_mode():
            pixels = torch.ones(1, 1, 3, 3, device="cuda")
            return functional.conv2d(pixels, pixels).item() == 9
    except RuntimeError as error:
        message = str(error).splitlines()[0]
        warnings.warn(f"The GPU cannot be used ({message}): going on without it.", stacklevel=3)
        return False


def cpu_has_bf16() -> bool:
    """Whether the processor has instructions for it; else it is emulated, at a fraction of fp32's
    speed."""
    # torch has no public name for the question yet.
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def in_parts(phase: str, size: int, wanted: int) -> str:
    """What a phase is called: while ``size`` images go at a time for lack of memory, it says so."""
    return phase if size == wanted else f"{phase}, {size} images at a time for lack of memory"


def channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of ``images`` ``[N,3,H,W]``, on a scale of 0 to 1.

    Taken from at most 5,000 images, evenly spaced: more do not move the third decimal.
    """
    sample = images[:: max(1, len(images) // 5000)].astype(np.float32) / 255
    std = np.maximum(sample.std(axis=(0, 2, 3)), 1e-3)  # a constant channel is not divided by 0
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

    ``images`` ``[N,3,H,W]`` give the normalisation of a network that starts from nothing. Where the
    stem is not that of the weights, it alone starts from nothing. ``generator`` is a CPU generator:
    the same seed gives the same weights on every device.
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
