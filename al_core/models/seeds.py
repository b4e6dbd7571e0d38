"""Generators of random numbers, each for one seed and round."""

from __future__ import annotations

import numpy as np
import torch


def round_generator(*seed: int) -> torch.Generator:
    """A CPU generator for one seed and round, unlike that of any other."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
