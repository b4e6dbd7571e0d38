"""Sentences and times for a person; text from outside is shown as it is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from al_core.errors import ActiveLearningError
from al_core.names import counted


def plain(text: str) -> str:
    """``text`` for a place that reads Markdown, so that names and paths keep their characters."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+\-!|$~:@&])", r"\\\1", text)
    return re.sub(r"\b(www)\.", r"\1\\.", escaped)


def show_error(problem: object) -> None:
    """Show a sentence about what went wrong, or the error that carries it."""
    st.error(plain(str(problem)), icon=":material/error:")


def show_info(sentence: str) -> None:
    """Show a sentence of our own that needs no action."""
    st.info(sentence, icon=":material/info:")


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an ActiveLearningError instead of raising it; also a decorator."""
    try:
        yield
    except ActiveLearningError as error:
        show_error(error)


def ago(time: datetime) -> str:
    """Roughly how long ago something happened."""
    seconds = (datetime.now(UTC) - time).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{counted(int(seconds // size), unit)} ago"
    return "a moment ago"


def duration(seconds: float) -> str:
    """A duration in the unit a person would choose."""
    if seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def interval(low: float, high: float) -> str:
    """The 95% interval of a share."""
    return f"95% interval {100 * low:.1f}–{high:.1%}"


def number_column(title: str, form: str, note: str | None = None) -> Any:
    """The look of a column of numbers in a table."""
    return st.column_config.NumberColumn(title, format=form, help=note)
