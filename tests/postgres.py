"""A PostgreSQL server of our own: in a temporary folder, as an ordinary user, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

USER = "nobody"  # PostgreSQL does not run as root


def installed() -> Path | None:
    """Where initdb and postgres are; None where they are not installed."""
    if path := shutil.which("initdb"):
        return Path(path).parent
    found = Path("/usr/lib/postgresql").glob("*/bin")
    return max(found, default=None, key=lambda path: int(path.parent.name))


@contextlib.contextmanager
def running(programs: Path, port: int) -> Iterator[Postgres]:
    """A server with no data, until the block ends."""
    root = os.geteuid() == 0
    # As root not below $TMPDIR, where another user may not be let in.
    folder = Path(tempfile.mkdtemp(prefix="al-postgres-", dir="/tmp" if root else None))
    who = {"user": USER, "extra_groups": []} if root else {}
    if root:
        shutil.chown(folder, USER)
    server = Postgres(programs, folder, port, who)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A server on ``port``, with its data in ``folder``."""

    def __init__(self, programs: Path, folder: Path, port: int, who: dict[str, Any]) -> None:
        self._programs, self._folder, self._port, self._who = programs, folder, port, who
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        initdb = [programs / "initdb", "-D", folder / "data", "-U", "al", "-A", "trust"]
        subprocess.run(
            [*initdb, "-E", "UTF8", "--locale", "C", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, **who,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder]
        log = self._folder / "log.txt"
        with log.open("a") as output:
            self._process = subprocess.Popen(
                [*command, "-h", "127.0.0.1", "-p", str(self._port)],
                stdout=output, stderr=output, cwd=self._folder, **self._who,
            )  # fmt: skip
        while True:
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return
            if self._process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it by its process id, at once: its connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None

    def database(self) -> str:
        """The address of a new, empty database."""
        self._databases += 1
        name = f"al_{self._databases}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://al@127.0.0.1:{self._port}/{name}"

    def connect(self, name: str = "postgres") -> psycopg.Connection:
        """A connection beside the program's."""
        where = {"host": "127.0.0.1", "port": self._port, "user": "al", "dbname": name}
        return psycopg.connect(**where, autocommit=True)
