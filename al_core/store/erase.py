"""Removing the rows of an experiment, so that they are not in the database's files any more."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Integer, ScalarSelect, cast, delete, func, select
from sqlalchemy.dialects import sqlite

from al_core.errors import StoreError, StoreUnavailable
from al_core.store.backup import tables_of_experiments
from al_core.store.database import Database
from al_core.store.tables import experiments, keys, metadata
from al_core.store.upgrade import opened

LAST = "last experiment"  # the key under which the highest number ever given is kept
# SQLite keeps a number for its user. With this one, rows were deleted that the file still holds.
UNTIDY = "PRAGMA user_version=1"
TIDY = "PRAGMA user_version=0"


def erase(database: Database, experiment_id: int) -> None:
    """Delete all rows of an experiment, from every table that has rows of experiments; all or
    nothing. No later experiment gets its number, and :func:`go_on` knows what is left to do."""
    with database.writing() as connection:
        if connection.dialect.name == "sqlite":
            # Should the file not be written anew, as where somebody stops that.
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            _remember(connection)
            connection.exec_driver_sql(UNTIDY)
        for table in reversed(metadata.sorted_tables):
            if "experiment_id" in table.c:
                connection.execute(delete(table).where(table.c.experiment_id == experiment_id))
        connection.execute(delete(experiments).where(experiments.c.id == experiment_id))


def _remember(connection: Connection) -> None:
    """SQLite would give the number of the last experiment again, and with it what other servers,
    browsers and jobs still have in memory under that number."""
    last = next_number() - 1
    row = sqlite.insert(keys).values(name=LAST, value=last)
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": last}))


def next_number() -> ScalarSelect[int]:
    """The number of the next experiment, in SQLite."""
    highest = select(func.max(experiments.c.id)).scalar_subquery()
    kept = select(cast(keys.c.value, Integer)).where(keys.c.name == LAST).scalar_subquery()
    return select(func.max(func.coalesce(highest, 0), func.coalesce(kept, 0)) + 1).scalar_subquery()


def compact(database: Database) -> None:
    """Write SQLite's file anew, so that nothing is in it that was deleted, and empty its WAL. A
    database on a server does so itself. Raises StoreUnavailable while somebody reads."""
    with database.alone() as connection:
        if connection.dialect.name != "sqlite":
            return
        connection.exec_driver_sql("VACUUM")
        busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        if not busy:
            connection.exec_driver_sql(TIDY)
    if busy:
        raise StoreUnavailable("Somebody reads the database; it is tidied when they are done.")


def go_on(database: Database) -> None:
    """Write SQLite's file anew where whoever deleted rows was stopped before, unless somebody is
    reading or writing now."""
    with database.alone() as connection:
        is_untidy = connection.exec_driver_sql("PRAGMA user_version").scalar()
    if is_untidy:
        with suppress(StoreUnavailable):
            compact(database)


def erase_in_backup(file: Path, experiment_id: int, began: datetime) -> None:
    """The same in a copy of an SQLite database, if the experiment of that number in it is the one
    that ``began`` then. Raises StoreError for what cannot be read as a database."""
    try:
        with closing(opened(file, "rw")) as copy:
            query = "SELECT created_at FROM experiments WHERE id = ?"
            then = (f"{began:%Y-%m-%d %H:%M:%S.%f}",)  # as SQLAlchemy writes it
            if copy.execute(query, (experiment_id,)).fetchone() == then:
                with copy:
                    for table in tables_of_experiments(copy):
                        of_it = f'DELETE FROM "{table}" WHERE experiment_id = ?'
                        copy.execute(of_it, (experiment_id,))
                    copy.execute("DELETE FROM experiments WHERE id = ?", (experiment_id,))
                    copy.execute(UNTIDY)
            if copy.execute("PRAGMA user_version").fetchone() != (0,):
                copy.execute("VACUUM")
                copy.execute("PRAGMA journal_mode=DELETE")
                copy.execute(TIDY)
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"The backup {file} may hold labels of it, and cannot be searched ({error}): move that "
            "file away or remove it, and delete the experiment again."
        ) from error
