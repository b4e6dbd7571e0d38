"""Settings of learning features: what they are and their limits. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from al_core.config import Stem
from al_core.errors import ConfigError
from al_core.limits import number, one_of, whole_number, yes_or_no

Method = Literal["emp-ssl", "fastsiam", "simclr"]


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """How features are learned from images alone; see :mod:`al_core.features.objectives`.

    Learning stops after ``minutes`` of computing or ``epochs``, whichever comes first; an epoch
    looks at each image once, in several views. ``batch_size`` counts images; None means the
    method's default. ``flip`` treats a mirrored image as the same thing.
    """

    method: Method = "emp-ssl"
    minutes: float | None = 30.0
    epochs: int | None = None
    batch_size: int | None = None
    stem: Stem = "auto"
    flip: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("method", self.method, get_args(Method))
        one_of("stem", self.stem, get_args(Stem))
        if self.minutes is None and self.epochs is None:
            raise ConfigError("Say how long to learn: so many minutes, or epochs.")
        if self.minutes is not None:
            number("minutes", self.minutes, 0.01, 100_000)
        if self.epochs is not None:
            whole_number("epochs", self.epochs, 1, 1_000_000)
        if self.batch_size is not None:
            whole_number("batch size", self.batch_size, 8, 65_536)
        whole_number("seed", self.seed, 0, 2**63 - 1)
        yes_or_no("flip", self.flip)
