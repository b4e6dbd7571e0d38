"""The commands' output in a terminal: bars for long work, a sentence for an error."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from al_core.errors import ActiveLearningError
from al_core.progress import Progress, Work, finish

RESUMES = "Stopped; the same command goes on from here."
T = TypeVar("T")


class Sentence(click.ClickException):
    """An error that is shown as its sentence alone. By itself, Click would send UTF-8 to a terminal
    that reads ASCII."""

    def show(self, file: IO[Any] | None = None) -> None:
        super().show(file or sys.stderr)


class SentenceGroup(click.Group):
    """Commands whose expected errors end in one sentence, not in a traceback. What the terminal
    cannot print is shown as escapes."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ActiveLearningError as error:
            raise Sentence(str(error)) from error
        except OSError as error:
            cause = f"{error.strerror}: {error.filename}" if error.strerror else str(error)
            raise Sentence(cause) from error


def say(text: str, out: Path | None = None) -> None:
    """Print a line: to stderr where stdout is the file ``out`` that a command writes."""
    file = sys.stdout
    with suppress(OSError):  # there is no such file, or no stdout
        if out is not None and os.path.samestat(out.stat(), os.fstat(1)):
            file = sys.stderr
    click.echo(text, file=file)


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
        raise Sentence(stopped) from None


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
