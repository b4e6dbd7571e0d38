"""Which of two is right more often on the same images, and whether that could be chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from al_core.models.metrics import MEASURABLE, Measure
from al_core.seeds import numpy_generator

DRAWS = 9_999


def p_of_gap(
    one: NDArray[np.bool_], other: NDArray[np.bool_], targets: NDArray[np.int64], measure: Measure
) -> float:
    """How often chance alone sets two so far apart: ``one`` and ``other`` say which images they are
    right on, bool ``[N]``, whose classes are ``targets`` int64 ``[N]``; in accuracy, or in balanced
    accuracy, where an image of a rare class counts for more.

    The images on which only one is right change sides at random: Fisher, "The design of
    experiments" (1935), by draws as in Phipson & Smyth, "Permutation p-values should never be zero"
    (2010). In accuracy that is the exact test of McNemar, "Note on the sampling error" (1947).
    """
    images = np.bincount(targets)
    weights = np.ones(len(images))
    if measure == "balanced":
        weights = np.where(images >= MEASURABLE, 1 / np.maximum(images, 1), 0.0)
    gaps = one.astype(np.int64) - other
    apart = np.bincount(targets, gaps != 0, len(images)).astype(np.int64)
    observed = abs(np.bincount(targets, gaps, len(images)) @ weights)
    chance = numpy_generator(0, "images change sides")
    drawn = np.abs((2 * chance.binomial(apart, 0.5, (DRAWS, len(images))) - apart) @ weights)
    return float((1 + (drawn >= observed - 1e-9).sum()) / (1 + DRAWS))


def holm(tested: Sequence[float], among: int = 0) -> list[float]:
    """Values of p, in order, corrected for their number, or for that of all that could have been
    tested, ``among``: Holm, "A simple sequentially rejective multiple test procedure" (1979)."""
    corrected, largest = [*tested], 0.0
    for rank, i in enumerate(np.argsort(tested, kind="stable").tolist()):
        largest = max(largest, min(1.0, (max(among, len(tested)) - rank) * tested[i]))
        corrected[i] = largest
    return corrected
