"""How often and where a network is wrong: accuracy, balanced accuracy and macro F1 with their
intervals, calibration, recall by class, confident mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

CALIBRATION_BINS = 15
Measure = Literal["accuracy", "balanced", "f1"]
MEASURES: dict[Measure, str] = {
    "accuracy": "Accuracy", "balanced": "Balanced accuracy", "f1": "Macro F1",
}  # fmt: skip
MEANS_OVER_CLASSES: tuple[Measure, ...] = ("balanced", "f1")
MEASURABLE = 2  # images; a class with fewer is in no mean over classes
UNEQUAL = 5  # times; above, a mean over classes says more than one over images
MORE = 4  # images that each class is taken to have had besides: Agresti & Coull (1998)
# Variances are estimated too, from few images, and one error counts in the F1 of two classes. By
# simulation the intervals so hold the truth in 93% and more of the test sets of
# benchmarks/coverage.py; in 90% where a class of five images beside a large one is missed, or
# recognised, nearly always.
WIDER = {"balanced": 1.2, "f1": 1.5}


def class_recall(confusion: Sequence[Sequence[int]] | NDArray[np.float64]) -> NDArray[np.float64]:
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


def wilson_interval(hits: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """95% interval of a proportion, nan for n = 0: Wilson, "Probable inference" (1927), eq. 7.

    An effective number of images need not be whole.
    """
    if n == 0:
        return np.nan, np.nan
    share = hits / n
    centre = share + z * z / (2 * n)
    margin = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    low, high = (centre - margin) / scale, (centre + margin) / scale
    return max(min(low, share), 0.0), min(max(high, share), 1.0)  # but for rounding


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ``value``, a share, with its 95% interval; all nan where nothing could be measured."""

    value: float
    low: float
    high: float


def estimate(metrics: Mapping[str, Any], measure: Measure = "accuracy") -> Estimate:
    """A measure by the ``metrics`` of a round, see :class:`Metrics`.

    Accuracy has Wilson's interval. Balanced accuracy is the mean recall, macro F1 the mean of
    F1 = 2 TP / (2 TP + FP + FN), each over the classes with at least MEASURABLE images; theirs is
    Wilson's too, for their :func:`effective_images`.
    """
    if measure == "accuracy":
        return Estimate(metrics["accuracy"], *metrics["interval"])
    counts = np.asarray(metrics["confusion"], dtype=np.float64)
    measured = counts.sum(1) >= MEASURABLE
    if not measured.any():
        return Estimate(np.nan, np.nan, np.nan)
    value, images = (
        _of_classes(counts, measure)[measured].mean(),
        effective_images(metrics, measure),
    )
    low, high = wilson_interval(value * images, images)
    return Estimate(float(value), float(low), float(high))


def effective_images(metrics: Mapping[str, Any], measure: Measure) -> float:
    """How many images would give a simple proportion the variance of a measure: the effective
    sample size of Kish, "Survey sampling" (1965). For accuracy, the number of images.

    The variance follows from the images of each class by the delta method, as in Takahashi et al.,
    "Confidence interval for micro-averaged F1 and macro-averaged F1 scores" (2022), after each
    class was given MORE images like the average of all classes: three right of three do not show
    that a fourth would be.
    """
    counts = np.asarray(metrics["confusion"], dtype=np.float64)
    if measure == "accuracy":
        return float(counts.sum())
    n, own = counts.sum(1), np.eye(len(counts))
    measured = n >= MEASURABLE
    right = (class_recall(counts)[measured].sum() + 1) / (measured.sum() + 2)
    wrong = (1 - own) * (counts.sum(0) + 1 / len(n))
    expected = own * right + (1 - right) * wrong / wrong.sum(1, keepdims=True)
    shares = (counts + MORE * expected) / (n[:, None] + MORE)
    smooth = shares * n[:, None]
    if measure == "balanced":
        slope = own / np.maximum(n, 1)
    else:
        slope = (2 * own - _of_classes(smooth, "f1")) / (n + smooth.sum(0))
    slope = slope * measured / measured.sum()  # of the mean over classes, by each of the counts
    variance = n @ ((shares * slope**2).sum(1) - (shares * slope).sum(1) ** 2)
    centre = _of_classes(smooth, measure)[measured].mean()
    return float(centre * (1 - centre) / (WIDER[measure] * variance))


def _of_classes(counts: NDArray[np.float64], measure: Measure) -> NDArray[np.float64]:
    """Recall or F1 of each class, ``[C]``."""
    if measure == "balanced":
        return class_recall(counts)
    f1: NDArray[np.float64] = (
        2 * counts.diagonal() / np.maximum(counts.sum(0) + counts.sum(1), 1e-12)
    )
    return f1


def within(measure: Measure) -> str:
    """The name of a measure within a sentence."""
    return MEASURES[measure][0].lower() + MEASURES[measure][1:]


def images_by_class(metrics: Mapping[str, Any]) -> NDArray[np.int64]:
    """How many images of each class were measured, int64 ``[C]``."""
    images: NDArray[np.int64] = np.asarray(metrics["confusion"], dtype=np.int64).sum(1)
    return images


def leading(metrics: Mapping[str, Any]) -> Measure:
    """What to look at first."""
    return leading_on(images_by_class(metrics)) if "confusion" in metrics else "accuracy"


def leading_on(images: NDArray[np.int64]) -> Measure:
    """The same on so many ``images`` of each class: balanced accuracy where the classes that they
    measure are UNEQUAL."""
    images = images[images >= MEASURABLE]
    return "balanced" if len(images) and images.max() > UNEQUAL * images.min() else "accuracy"


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
