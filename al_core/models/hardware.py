"""The device that a network runs on, and the memory it has."""

from __future__ import annotations

import warnings
import weakref
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where a network runs: the device, and the dtype of its fast matrix products."""

    device: torch.device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """The name that people know: the card's, or CPU."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return {"mps": "Apple GPU"}.get(self.device.type, "CPU")

    def __str__(self) -> str:
        """Everything that the last bits of a result depend on."""
        dtype, threads = str(self.dtype).removeprefix("torch."), torch.get_num_threads()
        libraries = f"torch: {torch.__version__}"
        if self.device.type == "cuda":
            libraries += f", CUDA: {torch.version.cuda}, cuDNN: {_cudnn_version()}"
        return f"{self.name} in {dtype}, threads: {threads}, {libraries}"

    @property
    def exact(self) -> Hardware:
        """The same device in fp32."""
        return replace(self, dtype=torch.float32)


CPU = Hardware(torch.device("cpu"), torch.float32)  # there is one everywhere


def find_hardware() -> Hardware:
    """The best device here; bf16 where the device has instructions for it, else fp32.

    A card that this torch has no kernels for is skipped, with a warning.
    """
    if torch.cuda.is_available() and _computes():
        torch.backends.cudnn.deterministic = True  # the same seed, the same curve
        torch.backends.cudnn.allow_tf32 = False  # other dtypes are compared with fp32
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
    """Whether the card runs a convolution: one too old for torch's kernels is listed, but fails."""
    try:
        with torch.inference_mode():
            pixels = torch.ones(1, 1, 3, 3, device="cuda")
            return functional.conv2d(pixels, pixels).item() == 9
    except RuntimeError as error:
        message = str(error).splitlines()[0]
        warnings.warn(f"The GPU cannot be used ({message}): going on without it.", stacklevel=3)
        return False


def cpu_has_bf16() -> bool:
    """Whether the processor has bf16 instructions; emulated, bf16 is far slower than fp32."""
    # torch has no public name for this check yet.
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def in_parts(phase: str, size: int, wanted: int) -> str:
    """The title of a phase; where memory allows only ``size`` images at a time, it says so."""
    return phase if size == wanted else f"{phase}, {size} images at a time for lack of memory"


_ON_GPU: dict[int, tuple[weakref.ref[NDArray[np.uint8]], Tensor]] = {}  # by the array's id


def on_device(images: NDArray[np.uint8], hardware: Hardware) -> NDArray[np.uint8] | Tensor:
    """The images as one uint8 tensor on the GPU where they fit, else the array itself.

    They are copied once, however often they are asked for, and kept while the array is in use.
    """
    if hardware.device.type != "cuda":
        return images
    there = _ON_GPU.get(id(images))
    if there is not None:
        return there[1]
    free, _ = torch.cuda.mem_get_info(hardware.device)
    if images.nbytes > free / 2:
        return images
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(hardware.device)
    key = id(images)
    _ON_GPU[key] = (weakref.ref(images, lambda _: _ON_GPU.pop(key, None)), tensor)
    return tensor
