"""How tests wait: for a condition, as long as a busy machine may take."""

import time
from collections.abc import Callable
from typing import TypeVar

from al_core.errors import StoreUnavailable

T = TypeVar("T")


def until(holds: Callable[[], T], seconds: float = 120) -> T:
    """What ``holds`` gives, once that is true; asked twenty times a second."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds"
        time.sleep(0.05)
    return found


def when_free(write: Callable[[], object]) -> None:
    """Write as a page does: again where the database was busy for longer than a write waits."""

    def is_written() -> bool:
        try:
            write()
        except StoreUnavailable:
            return False
        return True

    until(is_written)
