"""A 3x3 convolution that does not multiply by padding."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

TINY = 4  # pixels; up to here, a 3x3 convolution meets more padding than pixels


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution with padding 1 that does not multiply by padding.

    Behind torchvision's stem, a 32x32 image is 2x2 pixels in the third stage and one pixel in the
    last, where five and eight of the nine weights only ever meet zeros. One matrix from all pixels
    to all pixels gives the same sums without them, as a matrix product, which machines do fastest.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, 3, stride, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """``[N,in,H,W]`` to ``[N,out,H/stride,W/stride]``, rounded up."""
        _, _, height, width = input.shape
        if height * width > TINY or input.device.type != "cpu":  # padding costs a GPU no time
            return super().forward(input)
        return self.multiply(input, self.matrix(height, width, input.dtype))

    def multiply(self, input: Tensor, matrix: Tensor) -> Tensor:
        """The same, given the :meth:`matrix` for maps of this size."""
        n, _, height, width = input.shape
        rows, columns = self.output_size(height, width)
        bias = None if self.bias is None else self.bias.repeat(rows * columns)
        pixels = functional.linear(input.permute(0, 2, 3, 1).reshape(n, -1), matrix, bias)
        return pixels.view(n, rows, columns, self.out_channels).permute(0, 3, 1, 2)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the output for maps of this size."""
        return -(-height // self.stride[0]), -(-width // self.stride[1])

    def matrix(self, height: int, width: int, dtype: torch.dtype) -> Tensor:
        """The convolution of ``height`` x ``width`` pixels as ``[pixels * out, pixels * in]``."""
        seen_by = _taps(height, width, self.stride[0])
        to, of = seen_by.shape
        taps = self.weight.to(dtype).permute(2, 3, 0, 1).flatten(0, 1).unbind()
        taps = (*taps, torch.zeros_like(taps[0]))
        # One by one: the gradient of an index is summed in no fixed order.
        blocks = torch.stack([taps[tap] for tap in seen_by.flat])
        blocks = blocks.view(to, of, self.out_channels, self.in_channels)
        return blocks.permute(0, 2, 1, 3).reshape(to * self.out_channels, of * self.in_channels)


def _taps(height: int, width: int, stride: int) -> NDArray[np.int64]:
    """Which tap of a 3x3 kernel, 0 to 8, connects each output pixel to each pixel; 9 for none.
    ``[output pixels, pixels]``."""
    y, x = (grid.ravel() for grid in np.mgrid[:height, :width])
    is_output = (y % stride == 0) & (x % stride == 0)
    down, right = y - y[is_output, None] + 1, x - x[is_output, None] + 1
    is_seen = (down >= 0) & (down < 3) & (right >= 0) & (right < 3)
    taps: NDArray[np.int64] = np.where(is_seen, 3 * down + right, 9)
    return taps
