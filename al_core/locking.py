"""One process at a time: a lock file that the operating system frees when its holder dies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from al_core.progress import Progress, Work

if TYPE_CHECKING:
    from filelock import BaseFileLock

POLL_S = 0.1


def try_lock(path: Path) -> BaseFileLock | None:
    """Take the lock ``path`` now, or return None where somebody holds it.

    Release it with ``.release()``. The file itself stays: removing it would let two waiters
    hold locks on two different files of one name.
    """
    from filelock import FileLock, Timeout

    # A generator may be closed by another thread than the one that took its lock.
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def wait_for_lock(path: Path) -> Work[BaseFileLock]:
    """Take the lock ``path``, reporting the seconds waited while another process holds it."""
    began = time.monotonic()
    while (lock := try_lock(path)) is None:
        waited = time.monotonic() - began
        yield Progress("Waiting for another process", waited, 0, "seconds", waited)
        time.sleep(POLL_S)
    return lock
