"""The parts that a fast encoder is made of: products fused with what follows them.

oneDNN, which computes torch's products on a CPU, takes a bias, an activation and a sum along in the
same pass over memory. Weights are laid out once as its kernels read them, rather than at each call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

FUSES = torch.backends.mkldnn.is_available() and all(  # type: ignore[no-untyped-call]
    hasattr(torch.ops.mkldnn, name)
    for name in ("_convolution_pointwise", "_linear_pointwise", "_reorder_linear_weight")
)
USUAL_BATCH = 8  # weights are laid out for so many images; others give the same sums
USUAL_ROWS = 2048
SCORES_AT_ONCE = 3 << 19  # of attention: what stays in the processor's cache
_PACKING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Activation:
    """What oneDNN calls it, its numbers, and how it is computed."""

    name: str = "none"
    numbers: tuple[float, ...] = ()
    algorithm: str = ""


class _Packed(nn.Module):
    """A weight; once it was used, only as the kernels read it. Threads may share it."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.activation = Activation()
        self.outputs = len(weight)
        self.packed: Tensor | None = None

    def scale(self, factor: Tensor) -> None:
        """Multiplies each output, ``[out]``, by a factor."""
        shape = (-1,) + (1,) * (self.weight.dim() - 1)
        self.weight = self.weight * factor.view(shape)
        if self.bias is not None:
            self.bias = self.bias * factor

    def shift(self, offset: Tensor) -> None:
        """Adds an offset to each output, ``[out]``."""
        self.bias = offset.clone() if self.bias is None else self.bias + offset

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        if self.packed is not None:
            self.weight, self.packed = self.packed.to_dense(), None
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def _pack(self, pack: Callable[[Tensor], Tensor]) -> Tensor:
        with _PACKING:
            if self.packed is None:
                self.packed = pack(self.weight)
                self.weight = self.weight.new_empty(0)
            return self.packed

    @property
    def _then(self) -> tuple[str, list[float], str]:
        activation = self.activation
        return activation.name, list(activation.numbers), activation.algorithm


class Linear(_Packed):
    """A linear layer, then an activation or a sum. Where it ``makes_maps``, what it gives is seen
    as ``[N,C,H,W]``."""

    makes_maps = False

    def forward(self, input: Tensor, plus: Tensor | None = None) -> Tensor:
        """``[...,in]`` to ``[...,out]``, or ``[N,H,W,in]`` to ``[N,out,H,W]``; ``plus`` is what
        is added, in the shape of the result."""
        packed = self.packed
        if packed is None:
            packed = self._pack(lambda w: torch.ops.mkldnn._reorder_linear_weight(w, USUAL_ROWS))
        multiply = torch.ops.mkldnn._linear_pointwise
        if plus is None:
            output = multiply(input, packed, self.bias, *self._then)
            return output.permute(0, 3, 1, 2) if self.makes_maps else output  # type: ignore[no-any-return]
        if self.makes_maps:
            plus = plus.permute(0, 2, 3, 1)
        if plus.shape == (*input.shape[:-1], self.outputs):
            output = multiply.binary(input, plus, packed, self.bias, "add")
        else:
            output = multiply(input, packed, self.bias, *self._then) + plus
        return output.permute(0, 3, 1, 2) if self.makes_maps else output  # type: ignore[no-any-return]


class Patches(Linear):
    """A convolution of squares that do not overlap, as one product: its kernels are far larger
    than those that oneDNN's convolutions were made for."""

    def __init__(self, conv: nn.Conv2d) -> None:
        weight = conv.weight.detach().permute(0, 2, 3, 1).flatten(1)
        super().__init__(weight, None if conv.bias is None else conv.bias.detach())
        self.side = conv.kernel_size
        self.makes_maps = True

    def forward(self, input: Tensor, plus: Tensor | None = None) -> Tensor:
        """``[N,in,H,W]`` to ``[N,out,H/side,W/side]``."""
        (n, channels, height, width), (y, x) = input.shape, self.side
        rows, columns = height // y, width // x
        pixels = input[:, :, : rows * y, : columns * x].permute(0, 2, 3, 1)
        squares = pixels.reshape(n, rows, y, columns, x * channels).transpose(2, 3)
        return super().forward(squares.reshape(n, rows, columns, -1), plus)


class Convolution(_Packed):
    """A convolution, then an activation, or a sum and perhaps ReLU. Where it ``overwrites``, the
    result lies where ``plus`` was, which nobody needs any more."""

    overwrites = False

    def __init__(self, conv: nn.Conv2d) -> None:
        bias = None if conv.bias is None else conv.bias.detach()
        super().__init__(conv.weight.detach(), bias)
        self.stride, self.dilation, self.groups = conv.stride, conv.dilation, conv.groups
        self.kernel = conv.kernel_size
        self.padding = [int(side) for side in conv.padding]
        self.keeps_size = type(conv) is not nn.Conv2d  # as TensorFlow pads: stride by stride

    def forward(self, input: Tensor, plus: Tensor | None = None) -> Tensor:
        """``[N,in,H,W]`` to ``[N,out,H',W']``; ``plus`` is what is added, in that shape."""
        padding = self.padding
        if self.keeps_size:
            input, padding = self._padded(input)
        input = input.contiguous(memory_format=torch.channels_last)
        how = (padding, self.stride, self.dilation, self.groups)
        packed = self.packed
        if packed is None:
            size = (USUAL_BATCH, *input.shape[1:])
            reorder = torch.ops.mkldnn._reorder_convolution_weight
            packed = self._pack(
                lambda w: reorder(w.contiguous(memory_format=torch.channels_last), *how, size)
            )
        what = (packed, self.bias, *how)
        if plus is None:
            return torch.ops.mkldnn._convolution_pointwise(input, *what, *self._then)  # type: ignore[no-any-return]
        after = None if self.activation == Activation() else self.activation.name
        if plus.shape != self._shape(input, padding):
            output = torch.ops.mkldnn._convolution_pointwise(input, *what, "none", [], "") + plus
            return output.relu_() if after else output  # type: ignore[no-any-return]
        plus = plus.contiguous(memory_format=torch.channels_last)
        then: tuple[Any, ...] = (*what, "add", 1.0, after, [], "")
        if self.overwrites:
            return torch.ops.mkldnn._convolution_pointwise_.binary(plus, input, *then)  # type: ignore[no-any-return]
        return torch.ops.mkldnn._convolution_pointwise.binary(input, plus, *then)  # type: ignore[no-any-return]

    def _padded(self, input: Tensor) -> tuple[Tensor, list[int]]:
        """The input, and the padding that is left for the convolution to do."""
        missing = [
            max(0, (-(-size // step) - 1) * step + (kernel - 1) * apart + 1 - size)
            for size, step, kernel, apart in zip(
                input.shape[2:], self.stride, self.kernel, self.dilation, strict=True
            )
        ]
        if all(side % 2 == 0 for side in missing):
            return input, [side // 2 for side in missing]
        down, right = missing
        around = (right // 2, right - right // 2, down // 2, down - down // 2)
        return functional.pad(input, around), [0, 0]

    def _shape(self, input: Tensor, padding: list[int]) -> tuple[int, ...]:
        """Of the output: ``[N,out,H',W']``."""
        sides = (
            (size + 2 * pad - (kernel - 1) * apart - 1) // step + 1
            for size, pad, kernel, apart, step in zip(
                input.shape[2:], padding, self.kernel, self.dilation, self.stride, strict=True
            )
        )
        return (len(input), self.outputs, *sides)


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float | None = None) -> Tensor:
    """Attention of ``[...,heads,tokens,size]``, in that shape.

    In bf16, torch's fused kernel takes twice as long on a CPU as three products of oneDNN.
    """
    if query.dtype == torch.float32 or query.dim() < 4:
        return functional.scaled_dot_product_attention(query, key, value, scale=scale)
    if query.dim() > 4:  # windows of images
        flat = attend(query.flatten(0, -4), key.flatten(0, -4), value.flatten(0, -4), scale)
        return flat.view(*query.shape[:-3], *flat.shape[1:])
    n, heads, tokens, size = query.shape
    scale = size**-0.5 if scale is None else scale
    output = query.new_empty(n, tokens, heads, value.shape[3])
    few = max(1, SCORES_AT_ONCE // (heads * tokens * key.shape[2]))
    parts = (torch.split(tensor, few) for tensor in (query, key, value, output))
    for some, keys, values, result in zip(*parts, strict=True):
        # A product would copy it anyway, to where its rows lie one behind the other.
        scaled = torch.mul(some, scale, out=some.new_empty(some.shape))
        scores = scaled @ keys.transpose(2, 3)
        torch.softmax(scores, -1, out=scores)
        result.copy_((scores @ values).transpose(1, 2))
    return output.transpose(1, 2)
