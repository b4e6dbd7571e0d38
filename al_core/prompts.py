"""Prompts: what an encoder that knows words is told a class looks like. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from al_core.errors import ConfigError

NAME = "{}"  # stands for the name of a class


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
