"""When to stop: what the last labels gained, and how many more a target would take.

Nothing is claimed that the test images do not support: each answer has an interval, and is None
where that would be too wide to act on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.analysis.curves import points
from al_core.models.metrics import Measure, estimate, within
from al_core.names import counted
from al_core.seeds import numpy_generator
from al_core.store.records import RoundRecord

Floats = NDArray[np.float64]

FLAT_ROUNDS = 3
FLAT = 0.02  # a share; a curve that surely gains less per doubling of the labels is flat

# A fit has three parameters; with fewer rounds than this its scatter cannot be judged.
FEWEST_ROUNDS = 5
# Retraining scatters a curve more than its test images explain, and bends that the family lacks
# look the same. Up to twice the binomial deviation is attributed to retraining and widens the
# interval; beyond that the curve is taken to be of another shape.
MOST_SCATTER = 4.0
# Curves of other families may fit just as well nearby and diverge further on. So there is no
# forecast beyond four times the current labels, nor where the interval is too wide to plan by.
FARTHEST = 4.0
WIDEST = 2.5
EXPONENTS = np.geomspace(0.05, 2, 60)  # covers nearly all that Viering & Loog report
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Gain:
    """How much of a ``measure`` ``labels`` more, that is ``doublings`` of the earlier number, have
    gained, as a share, with its 95% interval."""

    labels: int
    doublings: float
    gain: float
    low: float
    high: float
    measure: Measure = "accuracy"


def trained_alike(rounds: Sequence[RoundRecord]) -> list[RoundRecord]:
    """The last of ``rounds``, back to where the settings of the model or of its training changed:
    what came before says nothing of what the labels since then gained."""
    alike: list[RoundRecord] = []
    for record in reversed(rounds):
        if alike and _trained_by(record) != _trained_by(alike[0]):
            break
        alike.insert(0, record)
    return alike


def _trained_by(record: RoundRecord) -> Any:
    settings = record.log_position.settings if record.log_position else {}
    return settings.get("model"), settings.get("train")


def gain_between(
    before: RoundRecord, after: RoundRecord, phi: float = 0.0, measure: Measure = "accuracy"
) -> Gain | None:
    """The change of a measure from one round to a later one; None if it was not measured.

    Newcombe, "Improved confidence intervals for the difference between binomial proportions based
    on paired data" (1998), method 10, from the Wilson intervals of both rounds and their
    correlation ``phi``, see :func:`correlation`. At 0 it is the interval for independent
    proportions, "Interval estimation for the difference between independent proportions" (1998),
    method 10, which is wider. It covers only the choice of test images, not that another training
    on the same labels would have given another network.
    """
    if before.metrics is None or after.metrics is None:
        return None
    one, other = estimate(before.metrics, measure), estimate(after.metrics, measure)
    if math.isnan(one.value + other.value):
        return None
    down = other.value - other.low, one.high - one.value
    up = other.high - other.value, one.value - one.low
    below, above = ((a * a - 2 * phi * a * b + b * b) ** 0.5 for a, b in (down, up))
    gain = other.value - one.value
    doublings = math.log2(max(after.labeled, 1) / max(before.labeled, 1))
    labels = after.labeled - before.labeled
    return Gain(labels, doublings, gain, gain - below, gain + above, measure)


def correlation(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """How far two networks are correct on the same images, ``[M]`` each: phi, shrunk as in
    Newcombe's method 10 for paired data; 0 if one is right or wrong on all."""
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    gained, lost = int((~before & after).sum()), int((before & ~after).sum())
    cross = float(both * neither - gained * lost)
    if cross > 0:
        cross = max(cross - len(before) / 2, 0.0)
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    return cross / margins**0.5 if margins else 0.0


def is_flat(gain: Gain) -> bool:
    """Whether a gain may be zero and is surely small for the doublings it took. With few test
    images, or few more labels, that stays open. Doublings, since curves are straightest against the
    logarithm of the labels."""
    return gain.low <= 0 and gain.high < FLAT * gain.doublings


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """``accuracy(n) = a - b (n / labeled)^-c``, ``labeled`` being the last round's: ``a, b, c`` of
    the ``best`` curve ``[1,3]`` and of bootstrap ``draws`` ``[D,3]``."""

    labeled: int
    best: Floats
    draws: Floats

    def at(self, labels: Floats) -> tuple[Floats, Floats, Floats]:
        """Accuracy at each of ``labels`` ``[N]``: the best, and its 95% interval, ``[N]`` each."""
        low, high = np.quantile(_curve(self.draws, labels / self.labeled), (0.025, 0.975), axis=0)
        return _curve(self.best, labels / self.labeled)[0], low, high


@dataclass(frozen=True, slots=True)
class Forecast:
    """About ``labels`` more reach the accuracy ``target``, with a 95% interval."""

    target: float
    labels: float
    low: float
    high: float


def fit_curve(
    labeled: Sequence[int], accuracy: Sequence[float], images: Sequence[float]
) -> Fit | None:
    """Fit a learning curve to rounds, each measured on that many ``images``; None if it has no
    clear shape.

    An inverse power law with an asymptote, Cortes et al., "Learning curves: asymptotic values and
    rate of convergence" (1993), the family that Viering & Loog, "The shape of learning curves: a
    review" (2022) find to fit best most often. Weighted by binomial variances; the ``draws`` come
    from a parametric bootstrap whose scatter is redrawn each time, since few rounds tell little
    about it. The same rounds give the same fit.

    Rounds are measured on the same images, or on growing numbers of them, so true deviations are
    smaller than binomial ones and the intervals, if anything, too wide. On simulated curves of
    other shapes (a logarithm, a sigmoid) it errs on one side: it asks for more labels than needed.
    """
    n, share, of = (np.array(v, dtype=np.float64) for v in (labeled, accuracy, images))
    if len(n) < FEWEST_ROUNDS or np.diff(n).min() <= 0 or n[0] <= 0:
        return None
    x, freedom = n / n[-1], len(n) - 3
    deviation = np.sqrt(np.maximum(share * (1 - share), 1 / of) / of)
    best, misfit = _least_squares(x, share[None], deviation)
    if misfit[0] > MOST_SCATTER * freedom:
        return None
    rng = numpy_generator(0, "learning curve")
    scatter = np.sqrt(np.maximum(1.0, misfit[0] / rng.chisquare(freedom, (DRAWS, 1))))
    again = _curve(best, x) + scatter * deviation * rng.standard_normal((DRAWS, len(n)))
    draws, _ = _least_squares(x, again, deviation)
    first, last = _curve(draws, x[[0, -1]]).T
    if np.quantile(last - first, 0.025) <= 0:
        return None
    return Fit(int(n[-1]), best, draws)


def forecast(fit: Fit, target: float) -> Forecast | None:
    """How many more labels reach ``target``; None if it is reached or cannot be foreseen.

    All draws but the last 2.5% must reach it, soon enough (FARTHEST), and in an interval narrow
    enough to plan by (WIDEST).
    """
    if target <= fit.at(np.array([fit.labeled]))[0][0]:
        return None
    labels = fit.labeled * _where(fit.draws, target)
    low, high = np.quantile(labels, (0.025, 0.975), method="nearest")
    if high > FARTHEST * fit.labeled or high > WIDEST * low:
        return None
    about = fit.labeled * float(_where(fit.best, target)[0])
    more = [max(float(n) - fit.labeled, 0.0) for n in (about, low, high)]
    return Forecast(target, *more)


def _curve(parameters: Floats, x: Floats) -> Floats:
    """``[D,3]`` and ``[N]`` to ``[D,N]``."""
    a, b, c = parameters.T[:, :, None]
    values: Floats = a - b * x**-c
    return values


def _where(parameters: Floats, target: float) -> Floats:
    """Where each of ``[D,3]`` reaches ``target``, ``[D]``, infinite where it never does."""
    a, b, c = parameters.T
    above = a > target
    gap = np.where(above, a - target, 1.0)
    return np.where(above, (b / gap) ** (1 / c), np.inf)


def _least_squares(x: Floats, y: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """For each row of ``y`` ``[D,N]`` the best parameters ``[D,3]`` and the sum of squares ``[D]``.

    For a given exponent, the curve is a straight line in ``x^-c``, so no search can go astray.
    ``a <= 1`` and ``b >= 0``, since no accuracy is above 1 and labels do no harm on average.
    """
    weight = deviation**-2
    best, least = np.zeros((len(y), 3)), np.full(len(y), np.inf)
    for c in EXPONENTS:
        z = -(x**-c)
        centre, mean = np.average(z, weights=weight), np.average(y, axis=1, weights=weight)
        b = (y - mean[:, None]) @ (weight * (z - centre)) / (weight @ (z - centre) ** 2)
        a = mean - b * centre
        b = np.where(a > 1, (y - 1) @ (weight * z) / (weight @ z**2), b)
        a = np.minimum(np.where(b < 0, mean, a), 1.0)
        b = np.maximum(b, 0.0)
        squares = (y - a[:, None] - b[:, None] * z) ** 2 @ weight
        better = squares < least
        least[better] = squares[better]
        best[better] = np.stack([a, b, np.full(len(y), c)], axis=1)[better]
    return best, least


def gain_in_words(gain: Gain) -> str:
    """What the labels of a round have gained, in a sentence."""
    what = f"The last {_labels(gain.labels)}" if gain.labels > 0 else "The last training"
    of = "" if gain.measure == "accuracy" else f" of {within(gain.measure)}"
    interval = f"{of} (95% interval {points(gain.low)} to {points(gain.high)})"
    if gain.low > 0 or gain.high < 0:
        verb = "gained" if gain.low > 0 else "lost"
        return f"{what} {verb} {points(abs(gain.gain))} points{interval}."
    return f"{what} made no clear difference: {points(gain.gain)} points{interval}."


def flat_in_words(gain: Gain) -> str:
    """A flat or falling curve, in a sentence."""
    return (
        f"The curve {'is flat' if gain.high >= 0 else 'falls'}: the {_labels(gain.labels)} of the "
        f"last three rounds changed the {within(gain.measure)} by {points(gain.gain)} points "
        f"(95% interval {points(gain.low)} to {points(gain.high)}). At this rate twice as "
        f"many labels would gain less than {points(FLAT)} points."
    )


def forecast_in_words(more: Forecast, left: int) -> str:
    """A forecast in a sentence; ``left`` images are unlabelled."""
    words = (
        f"About {_roughly(more.labels):,} more labels would reach {100 * more.target:.3g}%, if the "
        f"curve goes on as it has (95% interval {_roughly(more.low):,} to {_roughly(more.high):,})."
    )
    return (
        words
        if more.labels <= left
        else f"{words} Only {counted(left, 'image is', 'images are')} left."
    )


def _labels(count: int) -> str:
    return "label" if count == 1 else counted(count, "label")


def _roughly(count: float) -> int:
    """To two digits; given the interval, more would be spurious precision."""
    return int(float(f"{count:.1e}"))
