"""Prompts: what an encoder that knows words is told a class looks like. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from al_core.errors import ConfigError

NAME = "{}"  # stands for the name of a class


def texts_for(class_names: Sequence[str], prompts: str) -> list[list[str]]:
    """The texts of each class, one at least: of the lines of ``prompts`` those that begin with its
    name and a colon, or else those that hold NAME, or else its name."""
    lines = _lines(prompts)
    of_all = [line for line in lines if NAME in line]
    return [
        [line.replace(NAME, _spoken(name)) for line in _own(lines, name) or of_all or [NAME]]
        for name in class_names
    ]


def check_prompts(class_names: Sequence[str], prompts: str) -> None:
    """Raise ConfigError for a line that is neither for all classes nor for one of these."""
    lines = _lines(prompts)
    for line in lines:
        if NAME not in line and not any(_own([line], name) for name in class_names):
            raise ConfigError(
                f"The prompt “{line}” is for no class: {NAME} must stand where a name belongs, or "
                "it begins with the name of a class and a colon."
            )


def _lines(prompts: str) -> list[str]:
    return [line.strip() for line in prompts.splitlines() if line.strip()]


def _own(lines: Sequence[str], name: str) -> list[str]:
    """What the lines say that are for the class of this name alone."""
    told = [line.removeprefix(f"{name}:").strip() for line in lines if line.startswith(f"{name}:")]
    return [text for text in told if text]


def _spoken(name: str) -> str:
    """The name of a class as a person would say it: folders have no spaces."""
    return " ".join(name.replace("_", " ").split())
