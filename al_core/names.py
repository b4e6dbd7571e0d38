"""Names that people give to experiments, to classes and to themselves, and prompts: what an encoder
that knows words is told a class looks like. Also counts of things."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from al_core.errors import ConfigError

NAME = "{}"  # stands for the name of a class
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


def texts_for(called: Sequence[Sequence[str]], prompts: str) -> list[list[str]]:
    """The texts of each class, one at least; ``called`` are the names that each has had, the one of
    now first. They are those lines of ``prompts`` that begin with one of its names and a colon, or
    else those for all classes that hold NAME, or else its name."""
    own: list[list[str]] = [[] for _ in called]
    of_all = []
    for line in _lines(prompts):
        if (owner := _owner(line, called)) is not None:
            own[owner[0]].append(owner[1])
        elif NAME in line:
            of_all.append(line)
    return [
        [text.replace(NAME, _spoken(names[0])) for text in texts or of_all or [NAME]]
        for names, texts in zip(called, own, strict=True)
    ]


def check_prompts(called: Sequence[Sequence[str]], prompts: str, before: str = "") -> None:
    """Raise ConfigError for a line, unless it stood there ``before``, that is neither for all
    classes nor for one of these."""
    for line in _lines(prompts):
        if NAME in line or line in _lines(before) or _owner(line, called) is not None:
            continue
        raise ConfigError(
            f"The prompt “{line}” is for no class: {NAME} must stand where a name belongs, or it "
            "begins with the name of a class and a colon."
        )


def _lines(prompts: str) -> list[str]:
    return [line.strip() for line in prompts.splitlines() if line.strip()]


def _owner(line: str, called: Iterable[Sequence[str]]) -> tuple[int, str] | None:
    """The class that a line is for alone, the one of the longest name, and what it says of it; of
    a name that one class has and another had, it is the first's."""
    found = [
        (len(name), -place, -number)
        for number, names in enumerate(called)
        for place, name in enumerate(names)
        if line.startswith(f"{name}:") and line[len(name) + 1 :].strip()
    ]
    if not found:
        return None
    length, _, number = max(found)
    return -number, line[length + 1 :].strip()


def _spoken(name: str) -> str:
    """The name of a class as a person would say it: folders have no spaces."""
    return " ".join(name.replace("_", " ").split())
