"""Long work is a generator: it yields reports of progress and returns its result.

The caller prints the reports, draws them, or stops asking, which cancels the work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one phase of long work has come.

    ``done`` and ``total`` count ``unit``; a ``total`` of 0 is unknown. ``seconds`` is the time
    since the phase began.
    """

    phase: str
    done: float
    total: float
    unit: str
    seconds: float

    @property
    def fraction(self) -> float:
        """Share done, 0 to 1; 0 while the total is unknown."""
        return min(self.done / self.total, 1.0) if self.total > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds left at the pace so far; None while there is no pace to go by."""
        if self.total <= 0 or self.done <= 0:
            return None
        return self.seconds * (self.total - self.done) / self.done

    @property
    def lasts(self) -> bool:
        """Whether to keep it once later reports have come."""
        return False


@dataclass(frozen=True, slots=True)
class TrainingProgress(Progress):
    """A report from training.

    ``epoch`` counts passes over the labelled images; ``loss`` and ``accuracy`` are means since the
    current one began; ``ends_epoch`` marks the reports to keep.
    """

    epoch: float
    loss: float
    accuracy: float
    ends_epoch: bool

    @property
    def lasts(self) -> bool:
        return self.ends_epoch


@dataclass(frozen=True, slots=True)
class PretrainProgress(Progress):
    """A report from pretraining: passes over the images so far; running means of the loss and of
    the number of directions in which the projections point; the share of images that their nearest
    ``neighbours`` classify correctly, None where no truth is known."""

    epoch: float
    loss: float
    directions: float
    neighbours: float | None

    @property
    def lasts(self) -> bool:
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
