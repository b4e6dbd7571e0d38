"""One process at a time: lock files that the operating system frees when their holder dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from al_core.progress import Progress, Work

POLL_S = 0.1


class Lock(Protocol):
    """What only one process holds at a time."""

    def release(self, force: bool = False) -> Any:
        """Let another process have it."""

    @property
    def is_locked(self) -> bool:
        """Whether it is still held."""


def try_lock(path: Path) -> Lock | None:
    """Take the lock ``path`` now, or return None where somebody holds it.

    The file stays after ``.release()``: removing it would let two waiters hold locks on two
    different files of one name.
    """
    from filelock import FileLock, Timeout

    # A generator may be closed by a thread other than the one that took its lock.
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


@contextmanager
def held(lock: Lock) -> Iterator[None]:
    """Release ``lock`` at the end."""
    try:
        yield
    finally:
        lock.release()


def wait_for_lock(take: Path | Callable[[], Lock | None]) -> Work[Lock]:
    """Take the lock at the path ``take``, whose folder is made if need be, or the one that
    ``take()`` returns; report the seconds waited while another process holds it."""
    if isinstance(take, Path):
        take.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    while (lock := try_lock(take) if isinstance(take, Path) else take()) is None:
        waited = time.monotonic() - began
        yield Progress("Waiting for another process", waited, 0, "seconds", waited)
        time.sleep(POLL_S)
    return lock
