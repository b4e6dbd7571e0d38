"""How tests wait: for a condition, as long as a busy machine may take."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(holds: Callable[[], T], seconds: float = 120) -> T:
    """What ``holds`` gives, once that is true; asked twenty times a second."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {seconds:g} seconds"
        time.sleep(0.05)
    return found
