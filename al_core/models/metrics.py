"""How often and where a network is wrong: accuracy and its interval, calibration, recall by class,
confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

CALIBRATION_BINS = 15


def class_recall(confusion: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """The share of each class's images that was recognised, float64 ``[C]``; nan where a class has
    no images. ``confusion[truth][prediction]`` holds counts."""
    counts = np.asarray(confusion, dtype=np.float64)
    images = counts.sum(1)
    with np.errstate(invalid="ignore"):
        recall: NDArray[np.float64] = counts.diagonal() / images
    return recall


def confident_mistakes(
    probs: NDArray[np.floating],
    targets: NDArray[np.int64],
    truth: int | None = None,
    predicted: int | None = None,
) -> NDArray[np.int64]:
    """The rows whose most likely class is not their target, most confident first, int64 ``[K]``.

    ``probs`` ``[M,C]``, ``targets`` int64 ``[M]``. Where given, only images of class ``truth``
    and those predicted as class ``predicted``.
    """
    top = probs.argmax(1)
    wrong = top != targets
    if truth is not None:
        wrong &= targets == truth
    if predicted is not None:
        wrong &= top == predicted
    rows = np.flatnonzero(wrong)
    return rows[np.argsort(-probs[rows, top[rows]], kind="stable")]


def wilson_interval(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95% interval of a proportion, nan for n = 0: Wilson, "Probable inference" (1927), eq. 7."""
    if n == 0:
        return np.nan, np.nan
    share = hits / n
    centre = share + z * z / (2 * n)
    margin = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    return max((centre - margin) / scale, 0.0), min((centre + margin) / scale, 1.0)


@dataclass(frozen=True, slots=True)
class Metrics:
    """How right predictions are on images whose truth is known.

    ``images``, their number; ``accuracy``, and its 95% Wilson ``interval``; ``nll``, the mean
    negative log-likelihood in nats; ``ece``, the expected calibration error;
    ``confusion[truth][prediction]``, counts; ``reliability``, for each bin of the ECE that is not
    empty, its images, their mean confidence, and how many of them are right.
    """

    images: int
    accuracy: float
    interval: tuple[float, float]
    nll: float
    ece: float
    confusion: list[list[int]]
    reliability: list[tuple[int, float, int]]


def evaluate(probs: Tensor, targets: Tensor) -> Metrics:
    """Compare ``probs`` ``[N,C]`` with the true ``targets`` int64 ``[N]``, N at least 1.

    ECE as in Guo et al., "On calibration of modern neural networks" (2017), 15 equal bins.
    """
    import torch  # the page uses the rest of this file without it

    n, classes = probs.shape
    confidence, predicted = probs.max(1)
    right = predicted == targets
    nll = -probs.gather(1, targets[:, None]).clamp_min(1e-12).log().mean()
    bins = (confidence * CALIBRATION_BINS).long().clamp_max(CALIBRATION_BINS - 1)
    in_bin = bins == torch.arange(CALIBRATION_BINS, device=bins.device)[:, None]
    of_each = torch.stack([torch.ones_like(confidence), confidence, right.float()], dim=1)
    images, sure, hits = (in_bin.float() @ of_each).T
    confusion = torch.bincount(targets * classes + predicted, minlength=classes**2)
    return Metrics(
        images=n,
        accuracy=int(right.sum()) / n,
        interval=wilson_interval(int(right.sum()), n),
        nll=nll.item(),
        ece=((hits - sure).abs().sum() / n).item(),
        confusion=confusion.view(classes, classes).tolist(),
        reliability=[
            (int(count), total / count, int(hit))
            for count, total, hit in zip(images.tolist(), sure.tolist(), hits.tolist(), strict=True)
            if count
        ],
    )
