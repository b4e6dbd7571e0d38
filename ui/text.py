"""Text from outside, shown as it is."""

import re


def plain(text: str) -> str:
    """``text`` for a place that reads Markdown, so that names and paths keep their characters."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+\-!|$~:@])", r"\\\1", text)
    return re.sub(r"\b(www)\.", r"\1\\.", escaped)
