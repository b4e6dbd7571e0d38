"""What a setting may be: each function refuses a value, whose name is ``what``, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from al_core.errors import ConfigError


def one_of(what: str, value: object, known: Iterable[str]) -> None:
    """Raise ConfigError unless ``value`` is one of those ``known``."""
    if value not in [*known]:
        raise ConfigError(f"There is no {what} “{value}”; choose one of {', '.join(known)}.")


def whole_number(what: str, value: object, low: int, high: int) -> None:
    """Raise ConfigError unless ``value`` is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"The {what} must be a whole number from {low:,} to {high:,}.")


def number(what: str, value: object, low: float, high: float) -> None:
    """Raise ConfigError unless ``value`` is a number from ``low`` to ``high``."""
    # The comparison is false for NaN.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"The {what} must be a number from {low:g} to {high:g}.")


def text(what: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise ConfigError(f"The {what} must be given as text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"The {what} must be given as text in UTF-8.") from error


def yes_or_no(what: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"The setting “{what}” must be true or false.")
