"""Streams of random numbers, each with a name: two names never share one.

    generator(config.seed, "round", 3, "training")

A name is hashed as written, so a trailing 0 counts, and 3 differs from "3". Imports torch only
when asked for one of its generators.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Name = str | int


def seed_of(seed: int, *names: Name) -> int:
    """The 64-bit seed of the stream of that name."""
    digest = blake2b(repr((int(seed), *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest)


def generator(seed: int, *names: Name) -> torch.Generator:
    """The stream of that name as a CPU generator, so that it is the same for every device."""
    import torch

    return torch.Generator().manual_seed(seed_of(seed, *names))


def numpy_generator(seed: int, *names: Name) -> np.random.Generator:
    """The stream of that name as a NumPy generator."""
    return np.random.default_rng(seed_of(seed, *names))
