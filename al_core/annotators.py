"""Simulated annotators: who answers where no person does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.images import Dataset

Annotator = Callable[[NDArray[np.int64]], NDArray[np.int64]]  # positions [n] to labels [n]


def truth(dataset: Dataset) -> Annotator:
    """The annotator who is always right; raises ConfigError where no truth is known."""
    if not dataset.has_truth:
        raise ConfigError(
            f"No truth is known for the images of “{dataset.source}”, so it cannot be simulated."
        )
    return lambda positions: dataset.train.targets[positions]
