"""The device that a network runs on, and the memory it has."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
        return f"{self.name} in {dtype}, threads: {threads}, torch: {torch.__version__}"

    @property
    def exact(self) -> Hardware:
        """The same device in fp32."""
        return replace(self, dtype=torch.float32)


def find_hardware() -> Hardware:
    """The best device there is; bf16 where the device has instructions for it, else fp32."""
    if torch.cuda.is_available():
        torch.backends.cudnn.deterministic = True  # the same seed, the same curve
        torch.backends.cudnn.allow_tf32 = False  # fp32 is what others are compared with
        bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Hardware(torch.device("cuda"), torch.bfloat16 if bf16 else torch.float32)
    if torch.backends.mps.is_available():
        return Hardware(torch.device("mps"), torch.float32)
    return Hardware(torch.device("cpu"), torch.bfloat16 if cpu_has_bf16() else torch.float32)


def cpu_has_bf16() -> bool:
    """Whether the processor has instructions for it; else it is emulated, at a fraction of fp32's
    speed."""
    # torch has no public name for the question yet.
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


def in_parts(phase: str, size: int, wanted: int) -> str:
    """What a phase is called: while ``size`` images go at a time for lack of memory, it says so."""
    return phase if size == wanted else f"{phase}, {size} images at a time for lack of memory"


def on_device(images: NDArray[np.uint8], hardware: Hardware) -> NDArray[np.uint8] | Tensor:
    """The images as one uint8 tensor on the GPU where they fit, else as they are, in memory."""
    if hardware.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(hardware.device)
        if images.nbytes < free / 2:
            return torch.from_numpy(np.ascontiguousarray(images)).to(hardware.device)
    return images
