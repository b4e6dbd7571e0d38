"""Where files lie: everything in one folder, with a subfolder for each experiment."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote

from al_core.errors import StoreError

# An address as SQLAlchemy reads it: kind+driver://user:password@host:port/database?options
_ADDRESS = re.compile(
    r"(?P<kind>\w+)(?:\+\w+)?://(?:[^:/]*(?::[^@]*)?@)?"
    r"(?:(?:\[(?P<six>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>\d*))?)?(?:/(?P<database>[^?]*))?"
)
QUOTES = ('""', "''", "“”", "„“", "‘’", "«»", "``")


def address_digest(address: str) -> str:
    """A short name for the database at ``address``, the same for every user and password."""
    url = _ADDRESS.match(address)
    if url is None:
        raise StoreError("The address in AL_DATABASE_URL cannot be read as that of a database.")
    host, port = url["host"] or url["six"], int(url["port"] or 5432)
    where = (url["kind"], host, port, url["database"])
    return hashlib.blake2b(repr(where).encode(), digest_size=6).hexdigest()


def home() -> Path:
    """Where everything is kept: ``$AL_HOME``, or ``.al`` in the working directory."""
    return Path(os.environ.get("AL_HOME") or ".al").absolute()


def database_address() -> str:
    """That of the log: ``$AL_DATABASE_URL``, or SQLite at ``$AL_HOME/al.db``."""
    return os.environ.get("AL_DATABASE_URL") or f"sqlite:///{home() / 'al.db'}"


def uploads() -> Path:
    """The folder for pictures that were uploaded, one subfolder for each upload."""
    return home() / "uploads"


def files_beside(address: str) -> Path:
    """The folder for the files of a database's experiments, one subfolder each: weights,
    predictions, maps, but no labels.

    It lies beside SQLite's ``al.db``. For any other database it is a folder in ``$AL_HOME`` whose
    name is the same for all servers on that database.
    """
    file = address.removeprefix("sqlite:///")
    if Path(file).name == "al.db" and file != address:
        return Path(file).parent / "weights"
    return home() / "weights" / f"of-{address_digest(address)}"


def is_kept(path: Path) -> bool:
    """Whether ``path`` leads to the database, or into a folder that the program keeps."""
    there = Path(os.path.realpath(path))
    database = Path(os.path.realpath(database_address().removeprefix("sqlite:///")))
    if there.parent == database.parent and there.name.startswith(database.name):
        beside = there.name.removeprefix(database.name)
        return beside in ("", "-wal", "-shm", "-journal", ".lock") or beside.endswith(".backup")
    kept = [home() / name for name in ("cache", "simulations", "uploads", "weights")]
    if database.name == "al.db":
        kept.append(database.parent / "weights")  # as files_beside has it
    return any(Path(os.path.realpath(folder)) in there.parents for folder in kept)


def located(name: str) -> Path:
    """The absolute path that a person means by ``name``: ``~`` is their home, and a relative path
    starts in the working directory. It may stand in quotes, be an address ``file://``, or have
    backslashes before what a shell would not take as it is."""
    name = name.strip()
    quoted = len(name) > 2 and name[0] + name[-1] in QUOTES
    if quoted and not os.path.exists(name):
        name = name[1:-1].strip()
    if name.lower().startswith("file://"):
        below = "/" + unquote(name[7:]).partition("/")[2]  # without the name of a machine
        name = below[1:] if re.match("/[A-Za-z]:", below) else below
    path, unescaped = _absolute(name), _absolute(re.sub(r"\\(\W)", r"\1", name))
    # Not where nothing is there either: what is said of a path should name it as it was given.
    return unescaped if not os.path.exists(path) and os.path.exists(unescaped) else path


def _absolute(name: str) -> Path:
    return Path(os.path.expanduser(name)).absolute()
