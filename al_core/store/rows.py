"""Writing rows of the log, each only once, and reading them back."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from al_core.errors import StoreError
from al_core.store.records import Annotation, Batch, Reasons
from al_core.store.tables import annotations, batches, experiments


def insert_once(connection: Connection, table: Table) -> Any:
    """An insert that leaves an existing row alone."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def append_annotations(
    connection: Connection, experiment_id: int, new: Iterable[Annotation]
) -> None:
    """Add annotations, in order, except those whose ``event`` is there already."""
    rows = [{"experiment_id": experiment_id, **asdict(annotation)} for annotation in new]
    if rows:
        # One writer at a time. Otherwise PostgreSQL may show a later row before an earlier one, and
        # the first n annotations (see LogPosition) would not stay the same ones.
        one = select(experiments.c.id).where(experiments.c.id == experiment_id)
        connection.execute(one.with_for_update(key_share=True))
        connection.execute(insert_once(connection, annotations), rows)


def write_batch(
    connection: Connection, experiment_id: int, batch: Batch, place: int | None = None
) -> int | None:
    """Write a batch at ``place``, or after the last; return its id, None if the place is taken."""
    if place is None:
        query = select(func.count()).where(batches.c.experiment_id == experiment_id)
        place = connection.execute(query).scalar_one()
    values = asdict(batch) | {"experiment_id": experiment_id, "place": place}
    del values["id"], values["created_at"]
    written = insert_once(connection, batches).values(values).returning(batches.c.id)
    batch_id: int | None = connection.execute(written).scalar()
    return batch_id


def batch_of(row: Row[Any]) -> Batch:
    """The batch in a row; raises StoreError if it is damaged."""
    values = {slot: row._mapping[slot] for slot in Batch.__slots__}
    if values["reasons"] is not None:
        values["reasons"] = Reasons(**values["reasons"])
    if values["images"] is None:
        raise StoreError("A batch in the database is damaged; restore it from a copy.")
    return Batch(**values)
