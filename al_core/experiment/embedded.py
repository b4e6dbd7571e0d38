"""Which images of an experiment an encoder has seen by a log position.

Embedding a pool may take longer than labelling the first batches, so batches are chosen among what
is there. The pool is embedded in an order that its seed draws: however far that has come, it is a
fair sample of the pool, as strategies take it to be. So one number says what was there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.experiment import Experiment
from al_core.seeds import numpy_generator


def embedding_order(experiment: Experiment) -> NDArray[np.int64]:
    """The positions of the pool in the order in which they are embedded, int64 ``[pool_size]``:
    those the experiment began with in random order, then what came later as it came."""
    size, began_with = experiment.pool_size, experiment.began_with
    first = size if began_with is None else min(began_with, size)
    drawn = numpy_generator(experiment.config.seed, "embedding order").permutation(first)
    return np.concatenate([drawn, np.arange(first, size)]).astype(np.int64)


def testing_order(experiment: Experiment, count: int) -> NDArray[np.int64]:
    """The same of ``count`` test images."""
    drawn = numpy_generator(experiment.config.seed, "embedding order", "test").permutation(count)
    return drawn.astype(np.int64)


def leading(there: NDArray[np.bool_], order: NDArray[np.int64]) -> int:
    """How many images at the beginning of an ``order`` are ``there``."""
    known = there[order]
    return len(known) if known.all() else int(known.argmin())
