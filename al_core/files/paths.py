"""Where files lie: everything in one folder, and a folder of its own for each experiment."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from al_core.errors import StoreError

# An address as SQLAlchemy reads it: kind+driver://name:password@host:port/database?options
_ADDRESS = re.compile(
    r"(?P<kind>\w+)(?:\+\w+)?://(?:[^:/]*(?::[^@]*)?@)?"
    r"(?:(?:\[(?P<six>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>\d*))?)?(?:/(?P<database>[^?]*))?"
)


def address_digest(address: str) -> str:
    """A short name for the database at ``address``, whoever logs in to it."""
    url = _ADDRESS.match(address)
    if url is None:
        raise StoreError("The address in AL_DATABASE_URL cannot be read as that of a database.")
    host, port = url["host"] or url["six"], int(url["port"] or 5432)
    where = (url["kind"], host, port, url["database"])
    return hashlib.blake2b(repr(where).encode(), digest_size=6).hexdigest()


def home() -> Path:
    """Where everything is kept: ``$AL_HOME``, or ``.al`` in the working directory."""
    return Path(os.environ.get("AL_HOME") or ".al").absolute()


def files_beside(address: str) -> Path:
    """Where what belongs to the experiments of a database but is no label is kept: weights,
    predictions, maps; a folder for each experiment.

    Beside the file of SQLite's ``al.db``. Else in a folder of ``$AL_HOME`` that servers on one
    database name alike.
    """
    file = address.removeprefix("sqlite:///")
    if Path(file).name == "al.db" and file != address:
        return Path(file).parent / "weights"
    return home() / "weights" / f"of-{address_digest(address)}"
