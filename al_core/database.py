"""A database to keep the log in: opened, brought up to date, and its errors as sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from filelock import FileLock
from sqlalchemy import Engine, MetaData, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from al_core.errors import ConfigError, StoreError

LOCK_SECONDS = 10  # how long a writer waits for another before it gives up


def open_database(address: str, metadata: MetaData) -> Engine:
    """Connect to ``address``, with every table, column and index of ``metadata`` in place.

    Raises StoreError, in a sentence.
    """
    with sentences("opened"):
        parsed = make_url(address)
        engine = create_engine(parsed, json_deserializer=_json_or_none)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            event.listen(engine, "connect", _prepare_sqlite)
            # Two processes on a new file would both find no tables, and both create them.
            with FileLock(f"{parsed.database}.lock", timeout=LOCK_SECONDS):
                _bring_up_to_date(engine, metadata)
        else:
            _bring_up_to_date(engine, metadata)
    return engine


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
    connection.execute(f"PRAGMA busy_timeout={LOCK_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


@contextmanager
def sentences(doing: str, taken: str = "") -> Iterator[None]:
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
        raise StoreError(f"The database cannot be {doing}: {cause}.") from error


_ADVICE = {
    "could not be acquired": "another program holds the lock; try again",
    "full": "make room on the disk and try again",
    "locked": "another program has held it for too long; try again",
    "readonly": "allow writing to the file and its folder",
    "not a database": "move the file away, or set AL_HOME to another folder",
    "malformed": "restore it from a copy, or set AL_HOME to another folder",
    "unable to open": "see that the folder exists and may be written, or set AL_HOME",
    "Permission denied": "allow writing there, or set AL_HOME to another folder",
}
