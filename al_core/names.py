"""Names that people give to experiments, to classes and to themselves; and counts of things."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from al_core.errors import ConfigError

LENGTH = 200  # characters; the length of the log's column for an experiment's name
# Control characters, lone surrogates, and those that reverse the text after them. The marks and
# joiners that right-to-left scripts and emoji need are allowed.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def counted(count: int, one: str, many: str = "") -> str:
    """``1 image``, ``2 images``; ``many`` where that is more than an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def in_bytes(size: float) -> str:
    """``3 kB``, ``3.4 MB``, ``3.4 GB``: so many bytes, to two digits or to the whole number."""
    for unit, one in (("GB", 1e9), ("MB", 1e6)):
        if size >= 0.95 * one:
            return f"{size / one:,.{0 if size >= 9.95 * one else 1}f} {unit}"
    return f"{size / 1e3:.0f} kB"


def checked(what: str, name: str) -> str:
    """``name`` with single spaces; raises ConfigError where it is empty, too long, or has
    characters that cannot be shown. ``what`` is the thing named, as in "An experiment"."""
    name = " ".join(name.split())
    if not name:
        raise ConfigError(f"{what} needs a name.")
    if problem := _problem(name):
        raise ConfigError(f"The name is {problem}.")
    return name


def check_class_names(names: Sequence[str]) -> None:
    """Raise ConfigError unless these name at least two classes, each distinct from the others."""
    if len(names) < 2:
        raise ConfigError("An experiment needs at least two classes to tell apart.")
    for number, name in enumerate(names, start=1):
        problem = _problem(name) if name.strip() else "empty"
        if problem:
            raise ConfigError(f"The name of class {number:,} is {problem}; rename it.")
    # A table of labels preserves neither the spaces around a name nor how an accent is composed.
    if len({unicodedata.normalize("NFC", name.strip()) for name in names}) < len(names):
        raise ConfigError("Two classes have the same name; give each a name of its own.")


def _problem(name: str) -> str:
    if len(name) > LENGTH:
        return f"too long: {LENGTH} characters at most"
    hidden = HIDDEN.search(name)
    return f"no plain text: leave out the character U+{ord(hidden[0]):04X}" if hidden else ""
