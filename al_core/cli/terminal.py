"""The commands' output in a terminal: bars for long work, a sentence for an error."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

import click

from al_core.errors import ActiveLearningError
from al_core.progress import Progress, Work, finish

RESUMES = "Stopped; the same command goes on from here."
T = TypeVar("T")


class SentenceGroup(click.Group):
    """Commands whose expected errors end in one sentence, not in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ActiveLearningError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            cause = f"{error.strerror}: {error.filename}" if error.strerror else str(error)
            raise click.ClickException(cause) from error


def run_shown(work: Work[T], stopped: str = RESUMES, between_steps: bool = False) -> T:
    """Run ``work`` to its end with progress bars, and return its result. Ctrl-C ends it in the
    sentence ``stopped``: at once, or ``between_steps`` at its next report, where it can save its
    state."""
    try:
        with closing(work), progress_bars() as show:
            if not between_steps:
                return finish(work, show)
            with _stops_between_steps(show) as tell:
                return finish(work, tell)
    except KeyboardInterrupt:
        raise click.ClickException(stopped) from None


@contextmanager
def progress_bars() -> Iterator[Callable[[Progress], None]]:
    """Draw progress reports as they come: a bar for each phase, one below the other."""
    with ExitStack() as bars:
        phase, bar = "", None

        def show(report: Progress) -> None:
            nonlocal phase, bar
            if report.phase != phase or bar is None:
                bars.close()
                phase = report.phase
                bar = bars.enter_context(
                    click.progressbar(length=1000, label=phase, file=sys.stderr)
                )
            bar.update(int(report.fraction * 1000) - bar.pos)

        yield show


@contextmanager
def _stops_between_steps(
    show: Callable[[Progress], None],
) -> Iterator[Callable[[Progress], None]]:
    """``show``, but after Ctrl-C it raises KeyboardInterrupt at the next report; pressed again, at
    once."""
    is_asked = False

    def ask(*_: object) -> None:
        nonlocal is_asked
        if is_asked:
            raise KeyboardInterrupt
        is_asked = True

    def tell(report: Progress) -> None:
        show(report)
        if is_asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield tell
    finally:
        signal.signal(signal.SIGINT, before)
