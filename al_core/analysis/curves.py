"""Learning curves as data: from experiments and from tables, with bands over seeds."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.experiment.experiment import Experiment
from al_core.files.csv_cells import as_meant
from al_core.models.metrics import MEASURES, Measure, estimate, leading
from al_core.store.records import TRUTH
from al_core.strategies.registry import titled

Axis = Literal["labeled", "minutes"]
AXES: tuple[Axis, ...] = get_args(Axis)
Kind = Literal["test", "random"]
TITLES: dict[Kind, str] = {"test": "Test accuracy", "random": "Accuracy on random images"}
COLUMNS = ["strategy", "seed", "labeled", "test_accuracy"]
IN_TABLES: dict[Measure, str] = {
    "accuracy": "test_accuracy", "balanced": "balanced_accuracy", "f1": "macro_f1",
}  # fmt: skip
LEADING = "leading"  # the column that says which measure does
MOST = 2**53  # the largest count of labels or seed in a table; floats beyond are not exact
LONGEST_LOOK = 60_000  # milliseconds; anybody who takes longer for one image has left the desk


@dataclass(frozen=True, slots=True)
class MeasuredOn:
    """The images that an accuracy was measured on: those of the test set or a random sample, from
    ``data`` with that ``fingerprint``, both empty if unknown."""

    kind: Kind = "test"
    data: str = ""
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.kind} images" + (f" of {self.data}" if self.data else "")

    def compares_with(self, other: MeasuredOn) -> bool:
        """Whether two curves can be compared; if their data is unknown, they may be."""
        alike = True
        if self.fingerprint and other.fingerprint:
            alike = self.fingerprint == other.fingerprint
        elif self.data and other.data:
            alike = self.data == other.data
        return alike and self.kind == other.kind


@dataclass(frozen=True, slots=True)
class Curve:
    """One run, a point per round: accuracies on the images ``on``, as shares, or what else was
    asked for, see :data:`al_core.models.metrics.MEASURES`.

    Runs of the same ``name`` differ only in their ``seed``. ``low`` and ``high`` are the 95%
    interval of each point, ``minutes`` what people had spent looking by then; None if unknown.
    ``unequal``: balanced accuracy says more, see :func:`al_core.models.metrics.leading`.
    """

    name: str
    seed: int
    labeled: tuple[int, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    minutes: tuple[float, ...] | None = None
    on: MeasuredOn = MeasuredOn()
    unequal: bool = False

    def points(self, axis: Axis) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """The curve's places along ``axis``, ascending, float64 ``[P]``, and the round of each.

        A round that cost nothing, as when the truth answers, replaces the one before it.
        """
        x = np.array(getattr(self, axis) or (), dtype=np.float64)
        last = np.append(np.diff(x) > 0, True)[: len(x)]
        return x[last], np.flatnonzero(last)

    def at(self, axis: Axis, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The accuracy at ``x`` within the curve, by linear interpolation."""
        places, rounds = self.points(axis)
        accuracy: NDArray[np.float64] = np.interp(x, places, np.array(self.accuracy)[rounds])
        return accuracy


def curve_of(experiment: Experiment, measure: Measure = "accuracy") -> Curve | None:
    """An experiment's learning curve; None if it has nothing to draw yet."""
    found = [(one, estimate(one.metrics, measure)) for one in experiment.rounds if one.metrics]
    measured = [(record, e) for record, e in found if not math.isnan(e.value)]
    if not measured:
        return None
    looks = [
        (a.round, min(a.milliseconds, LONGEST_LOOK) / 60_000)
        for a in experiment.annotations
        if a.annotator != TRUTH and a.milliseconds is not None
    ]
    return Curve(
        experiment.name,
        experiment.config.seed,
        tuple(record.labeled for record, _ in measured),
        tuple(e.value for _, e in measured),
        tuple(e.low for _, e in measured),
        tuple(e.high for _, e in measured),
        tuple(sum(time for k, time in looks if k <= record.round) for record, _ in measured)
        if looks
        else None,
        measured_on(experiment),
        leading(measured[-1][0].metrics or {}) == "balanced",
    )


def measured_on(experiment: Experiment) -> MeasuredOn:
    """What an experiment's accuracies are measured on."""
    config = experiment.config
    kind: Kind = "random" if config.held_out_share else "test"  # no share with a test set
    return MeasuredOn(kind, Path(config.data).name, experiment.fingerprint)


def strategies_used(experiment: Experiment) -> tuple[tuple[int, str], ...]:
    """The strategies that chose what the rounds were trained on, in order, each with the first
    round it chose for; the configured one if none has chosen yet. The initial images, see
    ``config.start``, do not count."""
    chosen = [
        (batch.round, batch.strategy)
        for batch in sorted(experiment.batches, key=lambda batch: (batch.round, batch.id))
        if 0 < batch.round < experiment.next_round
    ]
    if not chosen:
        return ((1, experiment.config.strategy),)
    return tuple(next(group) for _, group in groupby(chosen, key=lambda choice: choice[1]))


def strategies_in_words(experiment: Experiment) -> str:
    """The titles of :func:`strategies_used`, as a phrase."""
    return ", then ".join(titled(strategy) for _, strategy in strategies_used(experiment))


def title_of(measure: Measure, kind: Kind) -> str:
    """What a measure on images of that kind is called."""
    if measure == "accuracy":
        return TITLES[kind]
    return MEASURES[measure] + " on random images" * (kind == "random")


def accuracy_title(curves: Iterable[Curve], measure: Measure = "accuracy") -> str:
    """A title for a measure of ``curves``, specific if all are of one kind."""
    kinds = {curve.on.kind for curve in curves}
    return title_of(measure, kinds.pop()) if len(kinds) == 1 else MEASURES[measure]


def read_curves(content: bytes, file_name: str, measure: Measure = "accuracy") -> list[Curve]:
    """The curves in a table written by ``python -m al_core simulate``, one per strategy and seed;
    none where it has no column of that measure.

    Raises ConfigError, in a sentence, for anything else.
    """
    share = IN_TABLES[measure]
    try:
        table = pd.read_csv(io.BytesIO(content))
        there = {*COLUMNS} <= {*table} and (share not in table or table[share].isna().all())
        if there and measure != "accuracy":
            return []  # written before there was one, or no class had test images enough
        table = table.dropna(subset=[*COLUMNS[:-1], share])
        numbers = ["seed", "labeled", share, *_bounds_in(table, share)]
        table[numbers] = table[numbers].apply(pd.to_numeric)
    # From pandas: not a table, no such column, numbers too large.
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ConfigError(
            f"{file_name} is not a table as “python -m al_core simulate” writes it, with the "
            f"columns {', '.join(COLUMNS[:-1])} and {COLUMNS[-1]}, the last three numbers."
        ) from error
    if table.empty:
        raise ConfigError(f"{file_name} has no row with a test accuracy.")
    if not table[share].between(0, 1).all():
        raise ConfigError(f"{file_name} has test accuracies that are not between 0 and 1.")
    counts = table[["seed", "labeled"]]
    if not ((counts >= 0) & (counts <= MOST) & (counts % 1 == 0)).all(axis=None):
        raise ConfigError(f"{file_name} has seeds or counts of labels that are no whole numbers.")
    runs = table.groupby(["strategy", "seed"], sort=False)
    return [_curve_in(run, share) for _, run in runs]


def _curve_in(run: pd.DataFrame, share: str) -> Curve:
    """One curve, from its rows of a table."""
    run = run.sort_values(["labeled", share])
    name, seed = as_meant(str(run["strategy"].iloc[0])), int(run["seed"].iloc[0])
    labeled = tuple(run["labeled"].astype(int))
    accuracy, *bounds = (
        tuple(run[column].astype(float)) for column in (share, *_bounds_in(run, share))
    )
    low, high = bounds or (None, None)
    unequal = LEADING in run and run[LEADING].iloc[-1] == "balanced"
    return Curve(name, seed, labeled, accuracy, low, high, unequal=bool(unequal))


def _bounds_in(table: pd.DataFrame, share: str) -> list[str]:
    """The columns of a share's lower and upper bound, if a table has them in each row."""
    names = [f"{share}_low", f"{share}_high"]
    return names if {*names} <= {*table} and not table[names].isna().any(axis=None) else []


def by_name(curves: Iterable[Curve], axis: Axis) -> dict[str, list[Curve]]:
    """The curves that have ``axis``, grouped by name; of one seed the last curve counts."""
    groups: dict[str, dict[int, Curve]] = {}
    for curve in curves:
        if getattr(curve, axis):
            groups.setdefault(curve.name, {})[curve.seed] = curve
    return {name: list(group.values()) for name, group in groups.items()}


def shared_range(curves: Iterable[Curve], axis: Axis) -> tuple[float, float] | None:
    """The start and end of the range that all ``curves`` cover; None if there is none."""
    places = [curve.points(axis)[0] for curve in curves]
    start = max((x[0] for x in places), default=0.0)
    end = min((x[-1] for x in places), default=0.0)
    return (float(start), float(end)) if start < end else None


def bands(curves: Sequence[Curve], axis: Axis) -> pd.DataFrame:
    """A row for each name and place: ``name, x, mean, low, high, seeds``.

    Runs of one name are averaged, with linear interpolation, wherever one of them has a point
    within the range of all; ``low`` to ``high`` is the 95% interval of the mean over seeds by
    Student, "The probable error of a mean" (1908). For a single run it is the Wilson interval of
    each point, missing if unknown. Runs of one name that share no range give no row.
    """
    columns = ["name", "x", "mean", "low", "high", "seeds"]
    tables = []
    for name, group in by_name(curves, axis).items():
        drawn = _single(group[0], axis) if len(group) == 1 else _mean(group, axis)
        if drawn is not None:
            tables.append(pd.DataFrame(dict(zip(columns, (name, *drawn, len(group)), strict=True))))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _single(curve: Curve, axis: Axis) -> tuple[NDArray[np.float64], ...]:
    """Where a curve has points, the mean there, and its interval, ``[P]`` each."""
    x, rounds = curve.points(axis)
    nothing = (np.nan,) * len(curve.accuracy)
    low, high = (np.array(bound or nothing)[rounds] for bound in (curve.low, curve.high))
    return x, np.array(curve.accuracy)[rounds], low, high


def _mean(curves: Sequence[Curve], axis: Axis) -> tuple[NDArray[np.float64], ...] | None:
    """The same of several curves, within the range of all; None where they share none."""
    both = shared_range(curves, axis)
    if both is None:
        return None
    places = np.unique(np.concatenate([curve.points(axis)[0] for curve in curves]))
    x = places[(both[0] <= places) & (places <= both[1])]
    accuracy = np.stack([curve.at(axis, x) for curve in curves])
    mean, half = accuracy.mean(0), student_margin(accuracy)
    return x, mean, np.maximum(mean - half, 0), np.minimum(mean + half, 1)


def student_margin(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the 95% interval of the mean over the first axis of ``values`` ``[n,...]``, n >= 2."""
    from scipy.special import stdtrit  # slow to import, and a page that labels does not need it

    n = len(values)
    margin: NDArray[np.float64] = stdtrit(n - 1, 0.975) * values.std(0, ddof=1) / np.sqrt(n)
    return margin


def area(curve: Curve, axis: Axis, start: float, end: float) -> float:
    """The curve's mean accuracy from ``start`` to ``end``, which lie within it: the area under its
    linear interpolation, divided by the range."""
    places = curve.points(axis)[0]
    x = np.array([start, *places[(start < places) & (places < end)], end])
    accuracy = curve.at(axis, x)
    return float(np.diff(x) @ (accuracy[1:] + accuracy[:-1]) / (2 * (end - start)))


def points(share: float) -> str:
    """A share in percentage points, with a minus sign as wide as a plus."""
    return f"{round(100 * share, 1) + 0.0:.1f}".replace("-", "−")
