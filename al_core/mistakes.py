"""Where a network is wrong: recall by class over the rounds, and its most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def class_recall(confusion: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """The share of each class's images that was recognised, float64 ``[C]``; nan where a class has
    no images. ``confusion[truth][said]`` are counts."""
    counts = np.asarray(confusion, dtype=np.float64)
    images = counts.sum(1)
    with np.errstate(invalid="ignore"):
        recall: NDArray[np.float64] = counts.diagonal() / images
    return recall


def confident_mistakes(
    probs: NDArray[np.floating],
    targets: NDArray[np.int64],
    truth: int | None = None,
    said: int | None = None,
) -> NDArray[np.int64]:
    """The rows whose most likely class is not their target, the most confident first, int64
    ``[K]``.

    ``probs`` ``[M,C]``, ``targets`` int64 ``[M]``. Only images of class ``truth`` and those taken
    for class ``said``, where these are given.
    """
    top = probs.argmax(1)
    wrong = top != targets
    if truth is not None:
        wrong &= targets == truth
    if said is not None:
        wrong &= top == said
    rows = np.flatnonzero(wrong)
    return rows[np.argsort(-probs[rows, top[rows]], kind="stable")]
