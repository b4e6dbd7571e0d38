"""How many labels that were accepted without a look are wrong at most, from looks at some of them.

The looks are drawn at random without replacement, and whoever audits sees the outcome after each
and stops when it pleases. So the bound is a confidence sequence: the probability that it is ever
wrong, at whatever number of looks, is at most ``error``. (Of an exact binomial interval that is
asked after each of a thousand looks it is 19% in place of 5%.)

Labels are accepted in groups. The evidence against W or more wrong labels in all is a ratio: how
likely the outcomes were under a mixture that was fixed before any look, and how likely they are at
most with W or more, however these lie in the groups. Under the true numbers of wrong labels a ratio
of likelihoods is a martingale that begins at 1, so by Ville's inequality it exceeds 1 / ``error``
with probability ``error`` at most: Waudby-Smith and Ramdas, "Confidence sequences for sampling
without replacement" (2020), theorem 2.1, where the null is a single number.

Groups may come at any time, and looks may go to whichever. But who takes a group out again after
looks at it has chosen by their outcome, and begins anew with another share of the error
(:func:`error_left`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# What the mixture is of, with weights: shares of wrong labels, the same in all groups, or in each
# another, drawn from a beta distribution of this mean and size.
SHARES = np.array([0.0, 0.002, 0.005, 0.01, 0.018, 0.03, 0.05, 0.1, 0.2, 0.005, 0.018])
SIZES = np.array([*[np.inf] * 9, 10, 10])
WEIGHTS = np.array([0.24, 0.12, 0.12, 0.1, 0.1, 0.06, 0.04, 0.03, 0.03, 0.08, 0.08])
FIRST, NEXT = 0.75, 0.25  # of the error: what is used before anything is opened again, and the rest


@dataclass(frozen=True, slots=True)
class Audited:
    """Labels that were accepted in one act: ``size`` of them, of which ``right`` and ``wrong`` were
    found so. A label that was drawn for a look and has no answer yet is among the wrong, since
    whichever are skipped may be the hard ones; ``waiting`` says how many of these are."""

    size: int
    right: int = 0
    wrong: int = 0
    waiting: int = 0

    @property
    def unseen(self) -> int:
        """How many nobody has looked at."""
        return self.size - self.right - self.wrong


def allowed(groups: Sequence[Audited], target: float) -> int:
    """How many labels of ``groups`` may be wrong where a share ``target`` has to be right."""
    size = sum(group.size for group in groups)
    return size - math.ceil(round(target * size, 6))


def most_wrong(groups: Sequence[Audited], error: float) -> int:
    """How many labels of ``groups`` are wrong at most; with probability ``error`` at most this was
    ever too few."""
    return _bound(groups, error, sum(group.unseen for group in groups))


def holds(groups: Sequence[Audited], target: float, error: float) -> bool:
    """Whether a share ``target`` of the labels is right, as :func:`most_wrong` has it."""
    may = allowed(groups, target)
    further = may + 1 - sum(group.wrong for group in groups)
    return further > 0 and _bound(groups, error, further) <= may


def looks_needed(groups: Sequence[Audited], target: float, error: float) -> int | None:
    """How many further looks it takes until the target :func:`holds`, if as many of them are wrong
    as were so far, not counting those that wait for an answer; None where it does not hold with all
    labels seen."""
    groups = [replace(one, wrong=one.wrong - one.waiting, waiting=0) for one in groups]
    right, wrong = (sum(getattr(one, name) for one in groups) for name in ("right", "wrong"))
    rate = wrong / max(right + wrong, 1)

    def is_enough(looks: int) -> bool:
        return holds([_looked_at(one, looks / unseen, rate) for one in groups], target, error)

    unseen = sum(group.unseen for group in groups)
    if holds(groups, target, error):
        return 0
    if not unseen or not is_enough(unseen):
        return None
    least, most = 0, unseen
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if is_enough(middle) else (middle, most)
    return most


def error_left(error: float, opened_again: int) -> float:
    """The share of ``error`` for a certificate after groups were taken out, or their thresholds
    moved, so many times; all of them together are ``error``."""
    return error * FIRST * NEXT**opened_again


def _looked_at(group: Audited, share: float, rate: float) -> Audited:
    """A group after a ``share`` of the rest was looked at, of which a ``rate`` was wrong."""
    looks = round(share * group.unseen)
    wrong = round(rate * looks)
    return replace(group, right=group.right + looks - wrong, wrong=group.wrong + wrong)


def _bound(groups: Sequence[Audited], error: float, further: int) -> int:
    """:func:`most_wrong`, or where that is more than ``further`` labels beside those found wrong,
    as many as these."""
    from scipy.special import logsumexp  # which a page does not wait for

    likely = logsumexp(sum(map(_by_mixture, groups)) + np.log(WEIGHTS))
    # That of w wrong labels of a group is concave in w: those that together are likeliest with W
    # are found by taking the next one where it costs least.
    parts = [_likelihood(group, further) for group in groups]
    steps = np.sort(np.concatenate([-np.diff(part) for part in parts]))[:further]
    most = sum(float(part[0]) for part in parts) - np.append(0.0, np.cumsum(steps))
    found = sum(group.wrong for group in groups)
    return found + int(np.searchsorted(likely - most, -np.log(error))) - 1


def _by_mixture(group: Audited) -> NDArray[np.float64]:
    """The logarithm of how likely what was seen of a group is under each part of the mixture."""
    from scipy.special import betaln, xlog1py, xlogy

    alike = xlogy(group.wrong, SHARES) + xlog1py(group.right, -SHARES)
    size = np.where(np.isinf(SIZES), 1.0, SIZES)
    a, b = np.maximum(size * SHARES, 1e-9), size * (1 - SHARES)
    each = betaln(a + group.wrong, b + group.right) - betaln(a, b)
    return np.asarray(np.where(np.isinf(SIZES), alike, each))


def _likelihood(group: Audited, further: int) -> NDArray[np.float64]:
    """The logarithm of how likely it is at most with as many wrong labels as were found, or more;
    with one more than that, or more; and so on."""
    from scipy.special import gammaln

    looks, most = group.right + group.wrong, group.size - group.right
    best = min((group.size + 1) * group.wrong // looks, most) if looks else 0
    wrong = np.maximum(np.arange(group.wrong, group.wrong + min(group.unseen, further) + 1), best)
    right = group.size - wrong
    ways = gammaln(right + 1) - gammaln(right - group.right + 1)
    ways += gammaln(wrong + 1) - gammaln(wrong - group.wrong + 1)
    return np.asarray(ways - gammaln(group.size + 1) + gammaln(group.unseen + 1))
