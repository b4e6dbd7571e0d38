"""Which servers on one database are alive."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from al_core.errors import StoreError

if TYPE_CHECKING:
    from al_core.store.store import Store

PING_SECONDS = 5  # between two checks that a server still holds its own lock


class Presence:
    """Tells which servers on one database are alive: each holds a lock while it runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.server = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = store.try_lock(_name(self.server))
        Thread(target=self._stay, daemon=True).start()

    def is_gone(self, server: str) -> bool:
        """Whether a server has ended."""
        return server != self.server and not self._store.is_locked(_name(server))

    def _stay(self) -> None:
        """Keep holding the lock: a database server that was restarted has forgotten it."""
        while True:
            time.sleep(PING_SECONDS)
            with suppress(StoreError):
                if self._lock is None or not self._lock.is_locked:
                    self._lock = self._store.try_lock(_name(self.server))


def _name(server: str) -> str:
    return f"server-{server}"
