"""The log: everything that must survive, in one database.

``annotations`` only ever grows; a change or an undo is a later row. A batch is written when it is
chosen; after that only its holder and when it was handed in may change. A round's record and the
batch its model chose are written in one transaction, so there is never one without the other.
"""

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Update, case, insert, select, update

from al_core.files.paths import database_address, files_beside
from al_core.names import checked
from al_core.store.erase import go_on, next_number
from al_core.store.experiments import Experiments, taken
from al_core.store.glance import Glance, glance, since
from al_core.store.image_rows import ImageRows
from al_core.store.manifests import Manifests, append_images
from al_core.store.records import (
    Acceptance,
    Annotation,
    Batch,
    ClassChange,
    FirstRows,
    ImageRow,
    RoundRecord,
    now,
)
from al_core.store.rows import (
    COLUMNS,
    Log,
    acts_of,
    add_act,
    append_annotations,
    batch_of,
    insert_once,
    write_batch,
)
from al_core.store.tables import (
    acceptances,
    annotations,
    batches,
    class_changes,
    experiments,
    keys,
    rounds,
)

NOTHING = FirstRows()


class Store(Experiments):
    """A database of experiments. Without a ``url``, the one in ``$AL_DATABASE_URL``, else SQLite at
    ``$AL_HOME/al.db``."""

    def __init__(self, url: str | None = None) -> None:
        address = url or database_address()
        super().__init__(address)
        self._files = files_beside(address)
        self._log = Log()
        self._manifests = Manifests()
        if self._file is not None:
            go_on(self)

    def key(self, name: str) -> str:
        """A random key to sign with, 64 hexadecimal digits: the same for every server of this
        database, and made when it is first asked for."""
        query = select(keys.c.value).where(keys.c.name == name)
        if not (found := self.rows(query)):
            with self.writing() as connection:
                made = {"name": name, "value": secrets.token_hex(32)}
                connection.execute(insert_once(connection, keys).values(made))
            found = self.rows(query)
        value: str = found[0][0]
        return value

    # Experiments

    def folder(self, experiment_id: int) -> Path:
        """Where the files of an experiment lie."""
        return self._files / str(experiment_id)

    def create_experiment(
        self,
        name: str,
        config: dict[str, Any],
        fingerprint: str,
        pool_size: int,
        first: FirstRows = NOTHING,
    ) -> int:
        """Write a new experiment with its ``first`` rows; return its id.

        Raises ConfigError for a name that is empty, too long, not plain text, or taken.
        """
        name = checked("An experiment", name)
        row = insert(experiments).values(
            name=name, config=config, fingerprint=fingerprint, pool_size=pool_size
        )
        with self.writing(taken(name)) as connection:
            if connection.dialect.name == "sqlite":
                row = row.values(id=next_number())
            written = connection.execute(row.returning(experiments.c.id))
            experiment_id: int = written.scalar_one()
            append_annotations(connection, experiment_id, first.annotations)
            if first.batch is not None:
                write_batch(connection, experiment_id, first.batch)
            images = ImageRows.of(first.images)
            block = append_images(connection, experiment_id, images, 0)
        self._manifests.written(experiment_id, images, 0, block)
        return experiment_id

    # The log of one experiment

    def append(
        self,
        experiment_id: int,
        new: Iterable[Annotation],
        renewed: tuple[Batch, datetime] | None = None,
    ) -> None:
        """Add annotations, in order, in one transaction: all are on disk when this returns.

        One whose ``event`` the experiment has already is not written again. ``renewed`` is a batch
        and the new end of its lease; it is ignored if somebody else holds the batch by now.
        """
        with self.writing() as connection:
            append_annotations(connection, experiment_id, new)
            if renewed is not None:
                batch, until = renewed
                mine = _batch(batch.id).where(batches.c.holder == batch.holder)
                connection.execute(mine.values(leased_until=until))

    def glance(self, experiment_id: int, batch_id: int = 0) -> Glance | None:
        """What a message of a grid needs to know; None where there is no such experiment."""
        with self.reading() as connection:
            return glance(connection, experiment_id, batch_id)

    def since(self, experiment_id: int, after: int) -> tuple[int, dict[int, list[Annotation]]]:
        """What is new after an annotation, by its number in the database: the number of the last,
        and of each image that has a new one all its annotations."""
        with self.reading() as connection:
            return since(connection, experiment_id, after)

    def log(self, experiment_id: int) -> tuple[Annotation, ...]:
        """All annotations of an experiment, in the order they were made; those already read come
        from memory."""
        with self.reading() as connection:
            return self._log.read(connection, experiment_id)

    def images(self, experiment_id: int) -> ImageRows:
        """The manifest of an experiment, in the order it was written; what was read already comes
        from memory."""
        with self.reading() as connection:
            return self._manifests.read(connection, experiment_id)

    def add_images(self, experiment_id: int, new: Sequence[ImageRow], place: int) -> bool:
        """Add rows, of which there is one at least, to a manifest of ``place`` rows: all or none.
        False where another server has written meanwhile, so that they may no longer fit."""
        rows = ImageRows.of(new)
        with self.writing() as connection:
            block = append_images(connection, experiment_id, rows, place)
        self._manifests.written(experiment_id, rows, place, block)
        return block is not None

    def class_changes(self, experiment_id: int) -> tuple[ClassChange, ...]:
        """The changes of an experiment's classes, in the order they were made."""
        with self.reading() as connection:
            return acts_of(connection, class_changes, ClassChange, experiment_id)

    def add_class_change(self, experiment_id: int, change: ClassChange, place: int) -> bool:
        """Add a change of the classes after ``place`` others; False if there are more by now."""
        with self.writing() as connection:
            return add_act(connection, class_changes, experiment_id, change, place)

    def acceptances(self, experiment_id: int) -> tuple[Acceptance, ...]:
        """What was accepted without a look, in the order in which that was done."""
        with self.reading() as connection:
            return acts_of(connection, acceptances, Acceptance, experiment_id)

    def add_acceptance(self, experiment_id: int, new: Acceptance, place: int) -> bool:
        """Add one after ``place`` others; False if there are more by now, or its event is there."""
        with self.writing() as connection:
            return add_act(connection, acceptances, experiment_id, new, place)

    def annotations(
        self, experiment_id: int, images: Collection[int] | None = None
    ) -> list[Annotation]:
        """An experiment's annotations, of all or some images, in the order they were made."""
        query = select(*COLUMNS).where(annotations.c.experiment_id == experiment_id)
        if images is not None:
            query = query.where(annotations.c.image.in_(list(images)))
        return [Annotation(*row) for row in self.rows(query.order_by(annotations.c.id))]

    def batches(self, experiment_id: int, with_reasons: bool = True) -> list[Batch]:
        """All batches of an experiment, in the order they were chosen.

        Reasons are most of a batch's size: without ``with_reasons``, only open batches have theirs.
        """
        wanted = (
            batches.c.reasons
            if with_reasons
            else case((batches.c.handed_in_at.is_(None), batches.c.reasons)).label("reasons")
        )
        columns = [wanted if c is batches.c.reasons else c for c in batches.c]
        query = select(*columns).where(batches.c.experiment_id == experiment_id)
        return [batch_of(row) for row in self.rows(query.order_by(batches.c.id))]

    def batch(self, batch_id: int) -> Batch | None:
        """One batch as it is now."""
        rows = self.rows(select(batches).where(batches.c.id == batch_id))
        return batch_of(rows[0]) if rows else None

    def add_batch(self, experiment_id: int, batch: Batch, place: int) -> int | None:
        """Write a batch at ``place``, counted from 0, and return its id; None if that is taken."""
        with self.writing() as connection:
            return write_batch(connection, experiment_id, batch, place)

    def lease(self, batch: Batch, leased: Batch) -> bool:
        """Give an open batch to the holder of ``leased``, who may have it already, with the images
        of that; False if its lease is no longer as in ``batch``."""
        row = _batch(batch.id).where(
            batches.c.handed_in_at.is_(None),
            batches.c.holder.is_not_distinct_from(batch.holder),
        )
        if batch.holder != leased.holder:  # else a label may have renewed it just now
            row = row.where(batches.c.leased_until.is_not_distinct_from(batch.leased_until))
        changed = [
            slot for slot in Batch.__slots__ if getattr(leased, slot) != getattr(batch, slot)
        ]
        values = {slot: value for slot, value in asdict(leased).items() if slot in changed}
        return self.change(row.values(values)) if values else True

    def reopen(self, batch_id: int, holder: str, annotator: str, until: datetime) -> None:
        """Reopen a batch that was handed in, for ``holder``."""
        leased = {"holder": holder, "annotator": annotator, "leased_until": until}
        self.change(_batch(batch_id).values(handed_in_at=None, **leased))

    def hand_in(self, batch_id: int, further: tuple[int, Batch, int] | None = None) -> bool:
        """Close a batch; False if it is closed already.

        ``further``, an experiment's id, a batch and its place, is written with it: both or neither.
        """
        still_open = _batch(batch_id).where(batches.c.handed_in_at.is_(None))
        with self.writing() as connection:
            closed = connection.execute(still_open.values(handed_in_at=now()))
            if closed.rowcount and further is not None:
                write_batch(connection, *further)
        return closed.rowcount > 0

    def rounds(self, experiment_id: int) -> list[RoundRecord]:
        """The finished rounds of an experiment, in order."""
        columns = [rounds.c[slot] for slot in RoundRecord.__slots__]
        query = select(*columns).where(rounds.c.experiment_id == experiment_id)
        return [RoundRecord(*row) for row in self.rows(query.order_by(rounds.c.round))]

    def add_round(
        self, experiment_id: int, record: RoundRecord, batch: Batch | None, place: int | None = None
    ) -> None:
        """Write a finished round and the batch its model chose, both or neither.

        A round that exists already (another server was faster) stays as it is, and so does a batch
        written at ``place`` in the meantime.
        """
        with self.writing() as connection:
            values = {"experiment_id": experiment_id, **asdict(record)}
            added = insert_once(connection, rounds).values(values).returning(rounds.c.id)
            if connection.execute(added).scalar() is not None and batch is not None:
                write_batch(connection, experiment_id, batch, place)


def _batch(batch_id: int) -> Update:
    return update(batches).where(batches.c.id == batch_id)
