"""A backup of the log while it is in use, and bringing one back: by SQLite's own way of copying.

A copy of the file ``al.db`` alone would lack what lies in its WAL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import copyfile

from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url

from al_core.errors import ConfigError, StoreError, StoreUnavailable
from al_core.files.atomic import check_writable, is_stream, refusals, remove, whole_path
from al_core.files.paths import files_beside
from al_core.store.records import now
from al_core.store.upgrade import NEWEST, OPEN_SECONDS, VERSIONS, copied, opened

Known = dict[int, object]
IN_USE = (
    "The database is in use: close the desk and every command that uses it, then restore; nothing "
    "was changed."
)


def back_up(address: str, path: Path) -> int:
    """Write the database at ``address``, as it is at one moment, to the file ``path``; return how
    many experiments it holds. Nobody who writes meanwhile has to wait.

    Raises ConfigError for a database on a server, and where ``path`` is a file of another kind;
    StoreError for a missing or damaged database; and FileNotWritten.
    """
    file = _file_of(address, "pg_dump makes a backup of it")
    if not file.exists():
        raise StoreError(f"There is no database at {file} yet: there is nothing to back up.")
    is_there = path.is_file() and not is_stream(path) and path.stat().st_size
    if is_there and _experiments(path) is None:
        raise ConfigError(f"{path} is another file than a backup of this program; name another.")
    check_writable(path)
    with whole_path(path) as half:
        with _told(file, "backed up"):
            copied(file, half)
        return len(_checked(half, file))


def restore(address: str, path: Path) -> Path | None:
    """Put the backup ``path`` in the place of the database at ``address``; return the file beside
    it in which the present one is kept, None where there was none.

    What was computed for experiments whose logs differ from those in the backup is removed, since
    it tells of labels that are not there any more. Raises ConfigError for a database on a server,
    StoreError where ``path`` is no whole database of this program, StoreUnavailable while anybody
    has the database open, and FileNotWritten.
    """
    file = _file_of(address, "pg_restore brings a backup back")
    if not path.is_file():
        raise StoreError(f"There is no file {path}.")
    if file.exists() and file.samefile(path):
        raise ConfigError(f"{path} is the database itself; name a backup of it.")
    with refusals(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{file}.lock", timeout=OPEN_SECONDS), whole_path(file) as half:
            with _told(path, "restored"):
                copied(path, half)
            there = _checked(half, path)
            before, kept = Known(), None
            if file.exists():
                # With a name that nothing of ours has, and that `is_kept` knows.
                kept = file.with_name(f"{file.name}.{now():%Y-%m-%dT%H-%M-%S-%f}.backup")
                before = _set_aside(file, kept)
            for folder in files_beside(address).glob("[0-9]*"):
                number = int(folder.name) if folder.name.isdecimal() else 0
                if there.get(number) is None or there[number] != before.get(number):
                    remove(folder)
    except Timeout as error:
        raise StoreUnavailable(IN_USE) from error
    return kept


def _file_of(address: str, how: str) -> Path:
    url = make_url(address)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise ConfigError(f"The experiments lie in a database of PostgreSQL: {how}.")
    return Path(url.database)


def _set_aside(file: Path, kept: Path) -> Known:
    """Keep a database that nobody has open as ``kept``; return what its experiments are known by.
    One that is damaged is kept as it is, for somebody who may still read some of it."""
    try:
        with closing(opened(file, "rw")) as log:
            log.execute("PRAGMA busy_timeout=0")
            # Only who is alone with a database can leave WAL; then all of it is in one file.
            log.execute("PRAGMA journal_mode=DELETE")
        with whole_path(kept) as half:
            copied(file, half)
        return _experiments(kept) or Known()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise StoreUnavailable(IN_USE) from error
        with whole_path(kept) as half:
            copyfile(file, half)
        for ending in ("-wal", "-shm"):  # they belong to it, and to no other
            remove(Path(f"{file}{ending}"))
    return Known()


def _checked(copy: Path, of: Path) -> Known:
    """What the experiments of a ``copy`` are known by. Raises StoreError where it is damaged, or no
    database of this program."""
    with _told(of, "read"), closing(opened(copy)) as database:
        said = database.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            raise StoreError(f"The database in {of} is damaged ({said}): nothing was written.")
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if not {"experiments", VERSIONS} <= tables:
            raise StoreError(f"{of} is no database of this program: nothing was changed.")
        (seen,) = database.execute(f"SELECT max(version_num) FROM {VERSIONS}").fetchone()
        if seen is None or seen > NEWEST:
            raise StoreError(
                f"{of} was written by a later version of this program: update the program."
            )
    return _experiments(copy) or Known()


def _experiments(file: Path) -> Known | None:
    """By the number of each experiment in a database, what tells its log from another: when it was
    started, and how many rows it has in each table, up to which. None for another file."""
    found = Known()
    with suppress(sqlite3.Error), closing(opened(file)) as database:
        if not tables_of_experiments(database):
            return None
        for number, began in database.execute("SELECT id, created_at FROM experiments"):
            counts = [
                database.execute(
                    f'SELECT count(*), max(id) FROM "{table}" WHERE experiment_id = ?', (number,)
                ).fetchone()
                for table in tables_of_experiments(database)
            ]
            found[number] = (began, counts)
        return found
    return None


def tables_of_experiments(database: sqlite3.Connection) -> list[str]:
    """The tables of a database that hold rows of experiments, sorted by name."""
    query = (
        "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND c.name = 'experiment_id' ORDER BY m.name"
    )
    return [name for (name,) in database.execute(query)]


@contextmanager
def _told(file: Path, doing: str) -> Iterator[None]:
    """Turn SQLite's errors at ``file`` into sentences."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"{file} cannot be {doing} ({error}); try again.") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{file} cannot be {doing}: it is no whole database ({error}).") from error
