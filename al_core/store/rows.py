"""Rows of the log: each is written only once, and annotations are read only once."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

from al_core.errors import StoreError
from al_core.store.records import Acceptance, Annotation, Batch, ClassChange, Reasons
from al_core.store.tables import annotations, batches, experiments

KEPT = 4  # experiments whose annotations stay in memory; 50,000 are 20 MB
COLUMNS = [annotations.c[slot] for slot in Annotation.__slots__]

Act = TypeVar("Act", ClassChange, Acceptance)


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
        # One writer at a time, as in SQLite. Otherwise PostgreSQL may show a later row before an
        # earlier one, and the first n annotations (see LogPosition) would not stay the same ones.
        if connection.dialect.name != "sqlite":
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


def acts_of(
    connection: Connection, table: Table, kind: type[Act], experiment_id: int
) -> tuple[Act, ...]:
    """The rows of an experiment in a table of acts that have a place each, in their order."""
    columns = [table.c[one.name] for one in fields(kind)]
    query = select(*columns).where(table.c.experiment_id == experiment_id)
    rows = connection.execute(query.order_by(table.c.place))
    act: Callable[..., Act] = kind
    return tuple(act(*(tuple(v) if isinstance(v, list) else v for v in row)) for row in rows)


def add_act(connection: Connection, table: Table, experiment_id: int, act: Act, place: int) -> bool:
    """Add an act after ``place`` others; False if there are more by now, or it is there already."""
    one = select(experiments.c.id).where(experiments.c.id == experiment_id)
    connection.execute(one.with_for_update(key_share=True))
    values = asdict(act) | {"experiment_id": experiment_id, "place": place}
    added = insert_once(connection, table).values(values).returning(table.c.id)
    return connection.execute(added).scalar() is not None


def batch_of(row: Row[Any]) -> Batch:
    """The batch in a row; raises StoreError if it is damaged."""
    values = {slot: row._mapping[slot] for slot in Batch.__slots__}
    if values["reasons"] is not None:
        values["reasons"] = Reasons(**values["reasons"])
    if values["images"] is None:
        raise StoreError("A batch in the database is damaged; restore it from a copy.")
    return Batch(**values)


class Log:
    """The annotations of some experiments in one database, so that each is read only once; safe to
    share between threads.

    They only ever grow, and every page reads them several times: 50,000 took 0.27 s each time.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, tuple[Annotation, ...]]] = {}
        self._lock = Lock()

    def read(self, connection: Connection, experiment_id: int) -> tuple[Annotation, ...]:
        """All annotations of an experiment as they are now, in the order they were made."""
        with self._lock:
            last, known = self._known.get(experiment_id, (0, ()))
        last, current = _catch_up(connection, experiment_id, last, known)
        with self._lock:
            self._known.pop(experiment_id, None)
            self._known[experiment_id] = last, current
            for oldest in list(self._known)[:-KEPT]:
                del self._known[oldest]
        return current


def _catch_up(
    connection: Connection, experiment_id: int, last: int, known: tuple[Annotation, ...]
) -> tuple[int, tuple[Annotation, ...]]:
    """The id of the last row, and all annotations; those up to the row ``last`` are ``known``.

    ``known`` is still valid if there are as many rows up to ``last`` as before and that row is the
    same: a database put in this one's place has another row there, and PostgreSQL may show rows
    with lower ids late. A single statement asks for everything, so it sees one moment.
    """
    of_experiment = annotations.c.experiment_id == experiment_id
    earlier = select(func.count()).where(of_experiment, annotations.c.id < last).scalar_subquery()
    query = (
        select(annotations.c.id, earlier, *COLUMNS)
        .where(of_experiment, annotations.c.id >= last)
        .order_by(annotations.c.id)
    )
    rows = connection.execute(query).all()
    new = tuple(Annotation(*row[2:]) for row in rows)
    if not known:
        return (rows[-1][0] if rows else 0), new
    if not rows or rows[0][1] != len(known) - 1 or new[0] != known[-1]:
        return _catch_up(connection, experiment_id, 0, ())
    return rows[-1][0], known + new[1:]
