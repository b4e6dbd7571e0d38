"""How fast this machine multiplies matrices, by which all else is estimated."""

from __future__ import annotations

import time

import torch

from al_core.models.hardware import Hardware

SIDE, SECONDS = 1024, 0.3


def rate_of_products(hardware: Hardware) -> float:
    """Billion operations a second in products of two matrices in the dtype of ``hardware``, by the
    quickest of as many as SECONDS allow."""
    one = torch.ones(SIDE, SIDE, dtype=hardware.dtype, device=hardware.device)
    best, began = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - began < SECONDS:
        start = time.perf_counter()
        (one @ one)[0, 0].item()  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return 2 * SIDE**3 / best / 1e9
