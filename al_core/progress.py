"""Long work is a generator: it yields what it has done and returns its result.

Whoever calls prints the reports, draws them, or stops asking; stopping is the cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one phase of long work has come.

    ``done`` and ``total`` count ``unit``; a ``total`` of 0 means that nobody knows it.
    ``seconds`` is the time since the phase began.
    """

    phase: str
    done: float
    total: float
    unit: str
    seconds: float

    @property
    def fraction(self) -> float:
        """Share that is done, 0 to 1; 0 while the total is unknown."""
        return min(self.done / self.total, 1.0) if self.total > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left at the pace so far; None while there is no pace to go by."""
        if self.total <= 0 or self.done <= 0:
            return None
        return self.seconds * (self.total - self.done) / self.done

    @property
    def lasts(self) -> bool:
        """Whether it still says something once others have followed."""
        return False


@dataclass(frozen=True, slots=True)
class TrainingProgress(Progress):
    """A report of the running training.

    ``epoch`` counts passes over the labelled images, ``loss`` and ``accuracy`` are means since the
    last one began; ``ends_epoch`` marks the reports to keep.
    """

    epoch: float
    loss: float
    accuracy: float
    ends_epoch: bool

    @property
    def lasts(self) -> bool:
        """Whether it is a point of the curve."""
        return self.ends_epoch


@dataclass(frozen=True, slots=True)
class PretrainProgress(Progress):
    """A report of a run: passes over the images so far; running means of the loss and of the number
    of directions in which the projections point; the share of images that their nearest
    ``neighbours`` classify right, None where no truth is known."""

    epoch: float
    loss: float
    directions: float
    neighbours: float | None

    @property
    def lasts(self) -> bool:
        """Each is a point of the curve."""
        return True


Work = Generator[Progress, None, T]


def finish(work: Work[T], report: Callable[[Progress], None] | None = None) -> T:
    """Run ``work`` to its end and return its result, handing each report to ``report``."""
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        if report is not None:
            report(progress)
