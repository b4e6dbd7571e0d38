"""Text from outside, shown as it is."""

import re
from datetime import UTC, datetime, timedelta

import streamlit as st


def plain(text: str) -> str:
    """``text`` for a place that reads Markdown, so that names and paths keep their characters."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+\-!|$~:@&])", r"\\\1", text)
    return re.sub(r"\b(www)\.", r"\1\\.", escaped)


def local_time(time: datetime) -> datetime:
    """A time as the clock beside the browser shows it."""
    offset = st.context.timezone_offset or 0  # minutes west of UTC
    return time.astimezone(UTC) - timedelta(minutes=offset)


def ago(time: datetime) -> str:
    """How long ago something was, roughly."""
    seconds = (datetime.now(UTC) - time).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "a moment ago"
