"""A database to keep the log in: opened, brought up to date, and its errors as sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from al_core.errors import ConfigError, StoreError, StoreUnavailable

OPEN_SECONDS = 10  # how long a program that starts waits for another that creates the tables
# How long a writer waits for another before it says so. A person who labels should hear of it
# soon; whoever can wait longer tries again.
LOCK_SECONDS = 1


class Database:
    """A database with every table, column and index of ``metadata`` in place; safe to share
    between threads.

    Every method raises StoreError, in a sentence: StoreUnavailable where it may work later.
    """

    def __init__(self, address: str, metadata: MetaData) -> None:
        with _sentences("opened"):
            self.url = make_url(address)
            self._file: Path | None = None
            self._engine = create_engine(self.url, json_deserializer=_json_or_none)
            if self.url.get_backend_name() == "sqlite" and self.url.database:
                path = Path(self.url.database)
                path.parent.mkdir(parents=True, exist_ok=True)
                event.listen(self._engine, "connect", _prepare_sqlite)
                # Two processes on a new file would both find no tables, and both create them.
                with FileLock(f"{path}.lock", timeout=OPEN_SECONDS):
                    _bring_up_to_date(self._engine, metadata)
                self._engine.dispose()
                self._file = path
                _keep_to_the_file(self._engine, path)
            else:
                _bring_up_to_date(self._engine, metadata)

    def close(self) -> None:
        """Let go of it; it is not usable after."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with."""
        with _sentences("read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, taken: str = "") -> Iterator[Connection]:
        """A transaction: all of it is on disk at the end, or nothing.

        ``taken`` is the sentence for a value that must be unique and is there already.
        """
        with _sentences("written", taken):
            with self._engine.begin() as connection:
                written = self._file and _identity(self._file)
                yield connection
            # SQLite writes on into a file that was moved away or deleted, and nobody would know.
            if self._file and _identity(self._file) != written:
                raise FileNotFoundError(f"{self._file} was replaced")


def _json_or_none(text: str) -> Any:
    """A damaged value is None, so that one row does not hide the others from a list."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _bring_up_to_date(engine: Engine, metadata: MetaData) -> None:
    """Create what is missing; what an earlier version wrote stays as it is."""
    metadata.create_all(engine)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            there = {column["name"] for column in inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if column.name not in there:
                    added = CreateColumn(column).compile(dialect=engine.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {added}")
            for index in table.indexes:
                index.create(connection, checkfirst=True)


def _prepare_sqlite(connection: SqliteConnection, _: object) -> None:
    """Readers never wait (WAL), writers wait for each other, a commit survives a power cut."""
    connection.execute(f"PRAGMA busy_timeout={int(LOCK_SECONDS * 1000)}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _keep_to_the_file(engine: Engine, path: Path) -> None:
    """Use no connection to a file that lies elsewhere by now, and create no empty one instead."""

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
    """Which file has that name now; raises FileNotFoundError where none has."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} has disappeared") from None
    return stat.st_dev, stat.st_ino


@contextmanager
def _sentences(doing: str, taken: str = "") -> Iterator[None]:
    """Turn what the database says into a StoreError that a person can act on."""
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
