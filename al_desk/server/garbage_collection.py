"""Garbage collection that does not hold up the labels."""

from __future__ import annotations

import atexit
import gc
import time
from contextlib import suppress
from functools import cache

SHORT = 0.002  # seconds of CPU time; what survives a longer collection is frozen
WHOLE = 600  # seconds until it is examined again, since by then it may be garbage after all


@cache
def keep_collections_short() -> None:
    """Let no collection examine again what those before it found in use.

    Streamlit collects garbage after every run of the script, and so after every label, and nothing
    else in the process runs meanwhile. With torch loaded each collection took 155 ms; with eight
    tabs on one experiment, collections took half of the server's CPU time.
    """
    gc.callbacks.append(_collections.note)
    atexit.register(_let_go)


def _let_go() -> None:
    """Freeze nothing at the end of the program: what is left is reported as leaks, in pages."""
    with suppress(ValueError):
        gc.callbacks.remove(_collections.note)
    gc.unfreeze()


def collect_all() -> None:
    """Examine everything now, since a training has ended.

    Networks and their optimisers form cycles, and are frozen if a collection happens while they
    train: up to 280 MB of them stayed in memory until they were examined again.
    """
    _collections.thaw()
    gc.collect()


class _Collections:
    """When to thaw what is frozen: after a while, or once there is twice as much of it."""

    def __init__(self) -> None:
        self._all = True  # whether the next collection examines everything
        self._began = 0.0
        self._whole = 0.0  # seconds that the last one that did so took
        self._since = 0.0  # seconds that those took which froze something after it
        self._thawed_at = time.monotonic()

    def thaw(self) -> None:
        """Have the next collection examine everything."""
        gc.unfreeze()
        self._all = True

    def note(self, phase: str, info: dict[str, int]) -> None:
        """Called by the interpreter at the start and the stop of each collection."""
        if info["generation"] < 2:
            return
        if phase == "start":
            late = self._since and time.monotonic() - self._thawed_at > WHOLE
            if late or self._since > self._whole:
                self.thaw()
            self._began = time.thread_time()
            return
        took = time.thread_time() - self._began
        if took <= SHORT:
            return
        gc.freeze()
        if self._all:
            self._all, self._whole, self._since = False, took, 0.0
            self._thawed_at = time.monotonic()
        else:
            self._since += took


_collections = _Collections()
