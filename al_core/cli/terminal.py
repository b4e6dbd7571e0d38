"""The commands' output in a terminal: bars for long work, a sentence for an error."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from al_core.errors import ActiveLearningError
from al_core.progress import Progress


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


@contextmanager
def stops_between_steps() -> Iterator[Callable[[Progress], None]]:
    """Make Ctrl-C raise KeyboardInterrupt at the next progress report, not in the middle of a step,
    so that work closed there can save its state. Pressed again, it stops at once."""
    is_asked = False

    def ask(*_: object) -> None:
        nonlocal is_asked
        if is_asked:
            raise KeyboardInterrupt
        is_asked = True

    def stop(_: Progress) -> None:
        if is_asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_bars(prefix: str) -> Iterator[Callable[[Progress], None]]:
    """Draw progress reports as they come: a bar for each phase, one below the other."""
    with ExitStack() as bars:
        phase, bar = "", None

        def show(report: Progress) -> None:
            nonlocal phase, bar
            if report.phase != phase or bar is None:
                bars.close()
                phase = report.phase
                bar = bars.enter_context(
                    click.progressbar(length=1000, label=prefix + phase, file=sys.stderr)
                )
            bar.update(int(report.fraction * 1000) - bar.pos)

        yield show
