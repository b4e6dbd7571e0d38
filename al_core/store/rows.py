"""How rows of the log are written, each of them once, and read back."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from al_core.errors import StoreError
from al_core.store.records import Annotation, Batch, Reasons
from al_core.store.tables import annotations, batches, experiments


def insert_once(connection: Connection, table: Table) -> Any:
    """An insert that leaves a row alone which is there already."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table).on_conflict_do_nothing()


def append_annotations(
    connection: Connection, experiment_id: int, new: Iterable[Annotation]
) -> None:
    """Add annotations, in order; one whose ``event`` is there already is left out."""
    rows = [{"experiment_id": experiment_id, **asdict(annotation)} for annotation in new]
    if rows:
        # One after another, or PostgreSQL would show a later row before an earlier one, and what
        # were the first so many annotations (see LogPosition) would be others afterwards.
        one = select(experiments.c.id).where(experiments.c.id == experiment_id)
        connection.execute(one.with_for_update(key_share=True))
        connection.execute(insert_once(connection, annotations), rows)


def write_batch(
    connection: Connection, experiment_id: int, batch: Batch, place: int | None = None
) -> int | None:
    """Write a batch at ``place``, or after the last; its id, or None where the place is taken."""
    if place is None:
        query = select(func.count()).where(batches.c.experiment_id == experiment_id)
        place = connection.execute(query).scalar_one()
    values = asdict(batch) | {"experiment_id": experiment_id, "place": place}
    del values["id"], values["created_at"]
    written = insert_once(connection, batches).values(values).returning(batches.c.id)
    batch_id: int | None = connection.execute(written).scalar()
    return batch_id


def batch_of(row: Row[Any]) -> Batch:
    """The batch in a row; raises StoreError where that is damaged."""
    values = {slot: row._mapping[slot] for slot in Batch.__slots__}
    if values["reasons"] is not None:
        values["reasons"] = Reasons(**values["reasons"])
    if values["images"] is None:
        raise StoreError("A batch in the database is damaged; restore it from a copy.")
    return Batch(**values)
