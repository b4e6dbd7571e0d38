"""Collecting garbage without holding up the labels."""

from __future__ import annotations

import atexit
import gc
import time
from contextlib import suppress
from functools import cache

SHORT = 0.002  # seconds of computing; what survives a longer collection is not looked at again
WHOLE = 600  # seconds until it is, since by then it may be garbage after all


@cache
def keep_collections_short() -> None:
    """Let no collection look again at what many collections before it found in use.

    Streamlit collects garbage after every run of the script, thus after every label, and nothing
    else runs in the process meanwhile. With torch loaded each collection took 155 ms, and later,
    with eight tabs on one experiment, half of all the server computed.
    """
    gc.callbacks.append(_collections.note)
    atexit.register(_let_go)


def _let_go() -> None:
    """At the end of the program nothing is frozen: what is left then is told as leaks, in pages."""
    with suppress(ValueError):
        gc.callbacks.remove(_collections.note)
    gc.unfreeze()


def collect_all() -> None:
    """Look at everything now, for a training has ended.

    Networks and their optimizers lie in cycles, and are frozen if a collection comes while they
    train: up to 280 MB of them stood there until they were looked at again.
    """
    _collections.thaw()
    gc.collect()


class _Collections:
    """When to thaw what is frozen: after a while, or once there is twice as much of it."""

    def __init__(self) -> None:
        self._all = True  # whether the next collection looks at everything
        self._began = 0.0
        self._whole = 0.0  # how long the last one that did took, in seconds
        self._since = 0.0  # how long those took that have frozen something after it
        self._thawed_at = time.monotonic()

    def thaw(self) -> None:
        """Have the next collection look at everything."""
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
