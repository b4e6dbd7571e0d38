"""Which strategy is better, and whether that could be chance: paired tests over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from al_core.analysis.curves import Axis, Curve, area, by_name, points, shared_range, student_margin
from al_core.models import paired

LEVEL = 0.05
FEWEST = 3  # seeds; two differences leave one degree of freedom, and their interval says nothing
UNITS: dict[Axis, str] = {"labeled": "labels", "minutes": "minutes"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """``better`` against ``worse``, by their areas over the ``seeds`` that both have.

    ``difference`` is how far the first lies above the second on average, at least 0, a share, with
    its 95% interval; ``p`` is corrected for all comparisons made. All are None if there are too few
    ``seeds``, and then the order means nothing.
    """

    better: str
    worse: str
    seeds: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def is_real(self) -> bool:
        """Whether chance is a poor explanation."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True, slots=True)
class Verdict:
    """How curves compare from ``start`` to ``end`` of ``axis``, the range that all cover.

    ``areas[name][seed]`` are mean accuracies over that range; ``comparisons`` have the largest real
    difference first, and the undecidable ones last.
    """

    axis: Axis
    start: float
    end: float
    areas: Mapping[str, Mapping[int, float]]
    comparisons: Sequence[Comparison]


def judge(curves: Sequence[Curve], axis: Axis, against: str | None = None) -> Verdict | None:
    """Compare the curves of every two names, or only of each with ``against``: with fewer tests,
    each needs less evidence. None if they do not all share a range. Curves measured on different
    images are not compared."""
    groups = by_name(curves, axis)
    every = [curve for group in groups.values() for curve in group]
    shared = shared_range(every, axis)
    if shared is None:
        return None
    areas = {
        name: {curve.seed: area(curve, axis, *shared) for curve in group}
        for name, group in groups.items()
    }
    pairs = [
        _paired(one, other, areas)
        for one, other in itertools.combinations(areas, 2)
        if against in (None, one, other) and groups[one][0].on.compares_with(groups[other][0].on)
    ]
    order = sorted(holm(pairs), key=lambda c: (c.p is None, not c.is_real, -(c.difference or 0.0)))
    return Verdict(axis, *shared, areas, order)


def summary(verdict: Verdict, curves: Sequence[Curve]) -> pd.DataFrame:
    """A row for each name, the best first among those of the same ``images``: ``name, images,
    area, sd, seeds, final``.

    ``area`` is the mean accuracy over the shared range, averaged over seeds, with its standard
    deviation ``sd``, missing for one run; ``final`` is the last round's accuracy, averaged too.
    """
    rows = []
    for name, group in by_name(curves, verdict.axis).items():
        areas = np.array(list(verdict.areas[name].values()))
        sd = areas.std(ddof=1) if len(areas) > 1 else np.nan
        final = np.mean([curve.accuracy[-1] for curve in group])
        rows.append((name, str(group[0].on), areas.mean(), sd, len(areas), final))
    table = pd.DataFrame(rows, columns=["name", "images", "area", "sd", "seeds", "final"])
    return table.sort_values(["images", "area"], ascending=[True, False], ignore_index=True)


def _paired(one: str, other: str, areas: Mapping[str, Mapping[int, float]]) -> Comparison:
    """The paired t-test of Student, "The probable error of a mean" (1908), over shared seeds."""
    from scipy.special import stdtr

    seeds = sorted(areas[one].keys() & areas[other].keys())
    if len(seeds) < FEWEST:
        return Comparison(one, other, len(seeds))
    gaps = np.array([areas[one][seed] - areas[other][seed] for seed in seeds])
    if gaps.mean() < 0:
        one, other, gaps = other, one, -gaps
    mean, half = float(gaps.mean()), float(student_margin(gaps))
    error = gaps.std(ddof=1) / np.sqrt(len(gaps))
    # Identical runs leave nothing to divide by.
    p = 2 * float(stdtr(len(gaps) - 1, -mean / error)) if error > 0 else float(mean == 0)
    return Comparison(one, other, len(seeds), mean, mean - half, mean + half, p)


def holm(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons, in order, with ``p`` corrected for the number of those tested."""
    corrected = iter(paired.holm([c.p for c in comparisons if c.p is not None]))
    return [c if c.p is None else replace(c, p=next(corrected)) for c in comparisons]


def in_words(found: Comparison, verdict: Verdict) -> str:
    """One comparison in a sentence."""
    one, other = found.better, found.worse
    if found.difference is None or found.low is None or found.high is None or found.p is None:
        if len(verdict.areas[one]) == len(verdict.areas[other]) == 1:
            return (
                f"{one} and {other}: one run each says nothing about chance; at least three seeds "
                "of each are needed."
            )
        common = {0: "no seed", 1: "one seed", 2: "two seeds"}[found.seeds]
        return (
            f"{one} and {other} have {common} in common, which says nothing about chance; at least "
            "three are needed."
        )
    tests = sum(c.p is not None for c in verdict.comparisons)
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    chance = f"{p} after Holm's correction" if tests > 1 else p
    interval = f"95% interval {points(found.low)} to {points(found.high)}"
    if found.is_real:
        return (
            f"{one} is better than {other} by {points(found.difference)} points on average "
            f"{where(verdict)} ({interval}, {found.seeds} seeds, {chance})."
        )
    return (
        f"{one} and {other}: {found.seeds} seeds are not enough to tell them apart (difference "
        f"{points(found.difference)} points, {interval}, {chance})."
    )


def where(verdict: Verdict) -> str:
    """The range of a verdict, for a sentence."""
    unit, size = scale(verdict.axis, verdict.end)
    start, end = (f"{x * size:,.1f}".removesuffix(".0") for x in (verdict.start, verdict.end))
    return f"between {start} and {end} {unit}"


def scale(axis: Axis, end: float) -> tuple[str, float]:
    """The unit that suits values up to ``end``, and how many of it make one of the axis."""
    return ("seconds", 60) if axis == "minutes" and end < 1 else (UNITS[axis], 1)
