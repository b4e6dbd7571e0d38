"""What a message of a grid needs of the log, in as few statements as it can be: each costs as much
as everything else about a label. They are made once, since SQLAlchemy (2.0) looks at a new one for
longer than SQLite takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, and_, bindparam, func, null, select

from al_core.store.records import Annotation, Batch
from al_core.store.rows import COLUMNS, batch_of
from al_core.store.tables import annotations, batches, class_changes, experiments


@dataclass(frozen=True, slots=True)
class Glance:
    """An experiment as it is now: its name and settings, whether it was ``deleted``, how many
    ``changes`` of its classes there are, the number of its ``last`` annotation in the database, and
    one ``batch``, without its reasons."""

    name: str
    config: Mapping[str, Any]
    deleted: bool
    changes: int
    last: int
    batch: Batch | None


_experiment: BindParameter[int] = bindparam("experiment")
_of_batch = [null().label(c.name) if c.name == "reasons" else c for c in batches.c]
_glance = (
    select(
        experiments.c.name.label("called"),
        experiments.c.config.label("settings"),
        experiments.c.deleted_at.label("gone_at"),
        select(func.count())
        .where(class_changes.c.experiment_id == _experiment)
        .scalar_subquery()
        .label("changes"),
        select(func.max(annotations.c.id))
        .where(annotations.c.experiment_id == _experiment)
        .scalar_subquery()
        .label("last"),
        *_of_batch,
    )
    .select_from(
        experiments.outerjoin(
            batches,
            and_(batches.c.experiment_id == experiments.c.id, batches.c.id == bindparam("batch")),
        )
    )
    .where(experiments.c.id == _experiment)
)
_later = annotations.alias().c
# Without an order: SQLite would go through all annotations of the experiment for it.
_since = select(annotations.c.id, *COLUMNS).where(
    annotations.c.experiment_id == _experiment,
    annotations.c.image.in_(
        select(_later.image).where(
            _later.experiment_id == _experiment, _later.id > bindparam("after")
        )
    ),
)


def glance(connection: Connection, experiment_id: int, batch_id: int) -> Glance | None:
    """An experiment, deleted or not, with one of its batches; None where there is none."""
    row = connection.execute(_glance, {"experiment": experiment_id, "batch": batch_id}).first()
    if row is None:
        return None
    batch = batch_of(row) if row.id is not None else None
    is_deleted = row.gone_at is not None
    return Glance(row.called, row.settings, is_deleted, row.changes, row.last or 0, batch)


def since(
    connection: Connection, experiment_id: int, after: int
) -> tuple[int, dict[int, list[Annotation]]]:
    """The number of an experiment's last annotation in the database, and of each image that has one
    after number ``after`` all of them, in the order they were made."""
    last = after
    found: dict[int, list[Annotation]] = {}
    rows = connection.execute(_since, {"experiment": experiment_id, "after": after}).all()
    for number, *row in sorted(rows, key=lambda row: row[0]):
        annotation = Annotation(*row)
        found.setdefault(annotation.image, []).append(annotation)
        last = max(last, number)
    return last, found
