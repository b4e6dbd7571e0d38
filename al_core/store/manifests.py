"""The rows of manifests: those written at once are one compressed block, which is read only once.

A folder of 100,000 photographs begins with as many rows. As rows of a table they took 3 seconds to
write, most of them spent on making parameters; as columns they take a tenth.
"""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock

from sqlalchemy import Connection, func, select

from al_core.errors import StoreError
from al_core.store.image_rows import ImageRows
from al_core.store.rows import insert_once
from al_core.store.tables import experiments, images

KEPT = 4  # experiments whose manifests stay in memory
DAMAGED = "The manifest in the database is damaged; restore it from a copy."


def append_images(
    connection: Connection, experiment_id: int, new: ImageRows, place: int
) -> str | None:
    """Add a block of rows to a manifest of ``place`` rows, and return its digest; None if there is
    nothing to add, or if it has others by now."""
    if not new:
        return None
    one = select(experiments.c.id).where(experiments.c.id == experiment_id)
    connection.execute(one.with_for_update(key_share=True))
    body = new.as_block()
    digest = _digest(body)
    # In SQLite a SELECT takes no lock, so the block is written before they are counted.
    written = insert_once(connection, images).values(
        experiment_id=experiment_id, place=place, length=len(new), digest=digest, body=body
    )
    if connection.execute(written.returning(images.c.id)).scalar() is None:
        return None
    query = select(func.sum(images.c.length)).where(images.c.experiment_id == experiment_id)
    if connection.execute(query).scalar_one() != place + len(new):
        raise StoreError(DAMAGED)
    return digest


class Manifests:
    """The manifests of some experiments in one database, so that each block is read only once; safe
    to share between threads."""

    def __init__(self) -> None:
        # By its number, the rows of an experiment, and the digest of each block by its place.
        self._known: dict[int, tuple[ImageRows, dict[int, str]]] = {}
        self._lock = Lock()

    def read(self, connection: Connection, experiment_id: int) -> ImageRows:
        """All rows of an experiment's manifest, in the order they were written."""
        with self._lock:
            rows, known = self._known.get(experiment_id, (ImageRows(), {}))
        of_experiment = images.c.experiment_id == experiment_id
        query = select(images.c.place, images.c.digest).where(of_experiment)
        there = {row.place: row.digest for row in connection.execute(query)}
        if known.items() - there.items():  # another database was put in this one's place
            rows, known = ImageRows(), {}
        if new := there.keys() - known.keys():
            query = select(images.c.place, images.c.length, images.c.digest, images.c.body)
            blocks = query.where(of_experiment, images.c.place >= min(new)).order_by(images.c.place)
            for row in connection.execute(blocks):
                whole = _digest(row.body) == row.digest
                added = ImageRows.read(row.body) if whole else ImageRows()
                if row.place != len(rows) or row.length != len(added):
                    raise StoreError(DAMAGED)
                rows = rows + added if rows else added
        with self._lock:
            self._known.pop(experiment_id, None)
            self._known[experiment_id] = rows, there
            for oldest in list(self._known)[:-KEPT]:
                del self._known[oldest]
        return rows

    def written(self, experiment_id: int, new: ImageRows, place: int, block: str | None) -> None:
        """The ``new`` rows were written, as a ``block`` of that digest: they need not be read."""
        with self._lock:
            rows, known = self._known.get(experiment_id, (ImageRows(), {}))
            if block is not None and len(rows) == place:
                self._known[experiment_id] = rows + new, known | {place: block}


def _digest(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()
