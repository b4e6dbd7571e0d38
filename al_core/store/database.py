"""The database of the log: opening it, its locks, its errors as sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from filelock import FileLock
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    Update,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from al_core.errors import ConfigError, StoreError, StoreUnavailable
from al_core.files.atomic import remove_halves
from al_core.files.locks import Lock, try_lock
from al_core.store.upgrade import OPEN_SECONDS, bring_up_to_date, number_of

# How long a writer waits for another before it fails. A person who labels should hear of it soon;
# a caller that can wait longer tries again.
LOCK_SECONDS = 1


class Database:
    """A database with the current tables of :mod:`al_core.store.tables`; safe to share between
    threads. Every method raises StoreError, in a sentence: StoreUnavailable if it may work later.
    """

    def __init__(self, address: str) -> None:
        with _sentences("opened"):
            url = make_url(address)
            self._file: Path | None = None
            on_server = url.get_backend_name() == "postgresql"
            if on_server:
                url = url.update_query_dict(_timeouts(url))
                self._locking = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            # On a server a connection may have broken since its last use.
            self._engine = create_engine(
                url, json_deserializer=_json_or_none, pool_pre_ping=on_server
            )
            if url.get_backend_name() == "sqlite" and url.database:
                path = Path(url.database)
                path.parent.mkdir(parents=True, exist_ok=True)
                event.listen(self._engine, "connect", _prepare_sqlite)
                # Two processes on a new file would both see no tables, and both create them.
                with FileLock(f"{path}.lock", timeout=OPEN_SECONDS):
                    remove_halves(path, also=".*.backup")
                    bring_up_to_date(self._engine)
                self._engine.dispose()
                self._file = path
                _keep_to_the_file(self._engine, path)
            else:
                bring_up_to_date(self._engine)

    def close(self) -> None:
        """Close all connections; it is not usable afterwards."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for reading."""
        with _sentences("read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, taken: str = "") -> Iterator[Connection]:
        """A transaction: at its end all of it is on disk, or nothing.

        ``taken`` is the error for a value that must be unique and exists already.
        """
        with _sentences("written", taken):
            with self._engine.begin() as connection:
                written = self._file and _identity(self._file)
                yield connection
            # SQLite silently keeps writing to a file that was moved away or deleted.
            if self._file and _identity(self._file) != written:
                raise FileNotFoundError(f"{self._file} was replaced")

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A connection without transactions, for what SQLite does outside of them."""
        with _sentences("tidied"), self._engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def rows(self, query: Select[Any]) -> Sequence[Any]:
        """All rows that a query finds."""
        with self.reading() as connection:
            return connection.execute(query).all()

    def change(self, change: Update, taken: str = "") -> bool:
        """Change a row, see :meth:`writing`; False where there is none to change."""
        with self.writing(taken) as connection:
            return connection.execute(change).rowcount > 0

    def try_lock(self, name: str) -> Lock | None:
        """A lock that only one user of this database can hold; None if it is taken. It is freed
        when its holder's process ends."""
        with _sentences("locked"):
            if self._file is not None:
                folder = self._file.with_name("locks")
                folder.mkdir(exist_ok=True)
                return try_lock(folder / f"{name}.lock")
            connection = self._locking.connect()
            if connection.execute(select(func.pg_try_advisory_lock(number_of(name)))).scalar():
                return AdvisoryLock(connection)
            connection.close()
            return None

    def is_locked(self, name: str) -> bool:
        """Whether somebody holds the lock of that name now."""
        if self._file is None:
            with self.writing() as connection:  # its end frees the lock again
                free = func.pg_try_advisory_xact_lock(number_of(name))
                return not connection.execute(select(free)).scalar()
        lock = self.try_lock(name)
        if lock is not None:
            lock.release()
        return lock is None


class AdvisoryLock:
    """A PostgreSQL lock; it lasts as long as a connection that serves nothing else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def release(self, force: bool = False) -> None:
        """Free it at once: the server notices only later that a connection has ended."""
        with suppress(SQLAlchemyError):
            self._connection.execute(select(func.pg_advisory_unlock_all()))
        self._connection.close()

    @property
    def is_locked(self) -> bool:
        """Whether the connection still lives."""
        if not self._connection.closed:
            try:
                self._connection.exec_driver_sql("SELECT 1")
            except SQLAlchemyError:
                self._connection.close()
        return not self._connection.closed


def _json_or_none(text: str) -> Any:
    """None for a damaged value, so that one bad row does not hide the others from a list."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _timeouts(url: URL) -> dict[str, str]:
    """Options for PostgreSQL beside those in its address: a writer does not wait long for another,
    and each end learns within a minute that the other's machine is gone."""
    alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
    settings = {"lock_timeout": f"{LOCK_SECONDS}s"} | {f"tcp_{n}": v for n, v in alive.items()}
    given = url.query.get("options", "")
    options = " ".join([*(f"-c {name}={value}" for name, value in settings.items()), str(given)])
    own = {"connect_timeout": 5, "tcp_user_timeout": 30_000, **alive}
    return {name: str(v) for name, v in own.items() if name not in url.query} | {"options": options}


def _prepare_sqlite(connection: SqliteConnection, _: object) -> None:
    """Readers never wait (WAL), writers wait for each other, a commit survives a power cut."""
    connection.execute(f"PRAGMA busy_timeout={int(LOCK_SECONDS * 1000)}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _keep_to_the_file(engine: Engine, path: Path) -> None:
    """Never use a connection to a file that was moved, nor create an empty file in its place."""

    @event.listens_for(engine, "do_connect")
    def is_there(*_: Any) -> None:
        _identity(path)

    @event.listens_for(engine, "connect")
    def note(_: Any, record: Any) -> None:
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def compare(_: Any, record: Any, __: Any) -> None:
        if record.info["file"] != _identity(path):
            raise DisconnectionError  # the pool connects anew


def _identity(path: Path) -> tuple[int, int]:
    """Device and inode of the file at ``path``; raises FileNotFoundError where there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} has disappeared") from None
    return stat.st_dev, stat.st_ino


@contextmanager
def _sentences(doing: str, taken: str = "") -> Iterator[None]:
    """Turn the database's errors into a StoreError that a person can act on."""
    try:
        yield
    except IntegrityError as error:
        if taken:
            raise ConfigError(taken) from error
        raise StoreError(f"The database refused a row: {error.orig}.") from error
    except (SQLAlchemyError, OSError, ImportError, UnicodeError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0].rstrip(".")
        for symptom, advice in _ADVICE.items():
            if symptom in cause:
                cause = f"{cause}; {advice}"
                break
        for_now = isinstance(error, OperationalError | OSError)
        kind = StoreUnavailable if for_now else StoreError
        raise kind(f"The database cannot be {doing}: {cause}.") from error


_ADVICE = {
    "could not be acquired": "another program holds the lock; try again",
    "No module named 'psycopg'": "pip install -r requirements-postgresql.txt",
    "No module named 'psycopg2'": "let its address begin with postgresql+psycopg://",
    "lock timeout": "another program holds it",
    "full": "make room on the disk",
    "locked": "another program holds it",
    "readonly": "allow writing to the file and its folder",
    "disk I/O error": "see that its disk works and may be written",
    "has disappeared": "bring the file back, or start the program again for a new one",
    "was replaced": "it is not the file that was opened",
    "no such table": "it is not the database that was opened; start the program again",
    "not a database": "move the file away, or set AL_HOME to another folder",
    "malformed": "restore it from a copy, or set AL_HOME to another folder",
    "unable to open": "see that the folder exists and may be written, or set AL_HOME",
    "Permission denied": "allow writing there, or set AL_HOME to another folder",
}
