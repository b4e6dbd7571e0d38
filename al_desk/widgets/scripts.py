"""The JavaScript and CSS of a component, from several files as one module."""

from pathlib import Path

_DESK = Path(__file__).parents[1]


def source(*names: str) -> str:
    """These files below al_desk as one, without indentation and comments, since it is sent with
    each page."""
    text = "\n".join((_DESK / name).read_text(encoding="utf-8") for name in names)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
