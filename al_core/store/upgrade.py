"""Bringing a database up to date: migrations, in one transaction, after a backup.

Tables change only by the files in ``migrations/versions``, which Alembic runs in order.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, inspect, select, text

from al_core.errors import StoreError
from al_core.files.atomic import whole_path

MIGRATIONS = Path(__file__).with_name("migrations")
NEWEST = max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
VERSIONS = "log_version"  # the table that records the last migration run
OPEN_SECONDS = 10  # how long a starting program waits for another that is creating the tables


def bring_up_to_date(engine: Engine) -> None:
    """Run the migrations that a database has not had, all of them or none.

    A SQLite file is first copied to its name with ``.VERSION.backup`` appended. Raises StoreError
    for a database from a later version of this program, or from before 0.1.0, and FileNotWritten
    where there is no room for the copy.
    """
    with engine.connect() as connection:
        if _version(connection) == NEWEST:
            return
        connection.rollback()
        # A transaction during which nobody else migrates.
        if connection.dialect.name == "sqlite":
            # The driver begins none before changes to tables, so each would be committed by itself.
            driver: Any = connection.connection.dbapi_connection
            driver.isolation_level = None
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{OPEN_SECONDS}s'")
            connection.execute(select(func.pg_advisory_xact_lock(number_of("migrations"))))
        _migrate(connection)
        connection.commit()


def _version(connection: Connection) -> str | None:
    """The last migration that a database has had; None before the first.

    Raises StoreError if it is newer than this program.
    """
    if not inspect(connection).has_table(VERSIONS):
        return None
    seen = connection.execute(text(f"SELECT version_num FROM {VERSIONS}")).scalar()
    if seen is not None and seen > NEWEST:
        raise StoreError(
            f"The database was written by a later version of this program (its tables are of "
            f"version {seen}, this one knows {NEWEST}): update the program, or set AL_HOME or "
            "AL_DATABASE_URL to another one."
        )
    return seen


def _migrate(connection: Connection) -> None:
    from alembic import command  # slow to import, and rarely needed
    from alembic.config import Config

    seen = _version(connection)
    if seen == NEWEST:  # another program was faster
        return
    if seen is not None:
        _back_up(connection, seen)
    elif inspect(connection).has_table("experiments"):
        raise StoreError(
            "The database was written before version 0.1.0, and its tables are other ones: export "
            "the labels of each experiment with the program that wrote it (“python -m al_core "
            "export”), set AL_HOME or AL_DATABASE_URL to a new place, start the experiments there "
            "on the same images, and import the labels (“python -m al_core import”)."
        )
    config = Config(attributes={"connection": connection, "version_table": VERSIONS})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    command.upgrade(config, "head")


def _back_up(connection: Connection, seen: str) -> None:
    """Copy a SQLite file before a migration; whoever runs PostgreSQL makes their own backups."""
    file = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not file:
        return
    with whole_path(Path(f"{file}.{seen}.backup")) as half:
        try:
            # With its own connection: the one about to write would wait for itself.
            copied(Path(file), half)
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


def opened(file: Path, mode: str = "ro") -> sqlite3.Connection:
    """A connection to a database that is there, to read it, or to write as well (``rw``): by
    itself, SQLite would make an empty one."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)


def copied(file: Path, half: Path) -> None:
    """Copy an SQLite database as it is at one moment, whoever writes meanwhile, into one file.
    Raises sqlite3.Error."""
    with closing(opened(file)) as log, closing(sqlite3.connect(half)) as copy:
        log.backup(copy)  # in one step, during which nobody has to wait
        copy.execute("PRAGMA journal_mode=DELETE")  # so that all of it is in this file


def number_of(name: str) -> int:
    """The 64-bit number by which PostgreSQL knows a lock of that name."""
    digest = hashlib.blake2b(f"active learning: {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
