"""The log: everything that must survive, in one database.

``annotations`` only ever grows; what a person changed or took back is a later row. A batch is
written when it is chosen and marked once, when it is handed in. A round's record and the batch
its model chose are written in one transaction, so there is never one without the other.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Row, create_engine, event, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from al_core.errors import ConfigError, StoreError, UnknownExperiment
from al_core.pool import Annotation, now
from al_core.schema import (
    Batch,
    ExperimentRecord,
    RoundRecord,
    annotations,
    batches,
    experiments,
    metadata,
    rounds,
)

LOCK_SECONDS = 10  # how long a writer waits for another before it gives up
NAME_LENGTH = 200


def home() -> Path:
    """Where everything is kept: ``$AL_HOME``, or ``.al`` in the working directory."""
    return Path(os.environ.get("AL_HOME") or ".al").absolute()


class Store:
    """A database of experiments; safe to share between threads.

    Without a ``url``, the one in ``$AL_DATABASE_URL``, else SQLite at ``$AL_HOME/al.db``.
    Every method raises StoreError, in a sentence, when the database or its disk refuses.
    """

    def __init__(self, url: str | None = None) -> None:
        address = url or os.environ.get("AL_DATABASE_URL") or f"sqlite:///{home() / 'al.db'}"
        with _sentences("opened"):
            parsed = make_url(address)
            self._engine = create_engine(parsed)
            if parsed.get_backend_name() == "sqlite" and parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
                event.listen(self._engine, "connect", _prepare_sqlite)
                # Two processes on a new file would both find no tables, and both create them.
                with FileLock(f"{parsed.database}.lock", timeout=LOCK_SECONDS):
                    metadata.create_all(self._engine)
            else:
                metadata.create_all(self._engine)

    def close(self) -> None:
        """Let go of the database; the store is not usable after."""
        self._engine.dispose()

    # Experiments

    def create_experiment(
        self,
        name: str,
        config: dict[str, Any],
        fingerprint: str,
        pool_size: int,
        first_annotations: Iterable[Annotation] = (),
        first_batch: Batch | None = None,
    ) -> int:
        """Write a new experiment with what it starts from; returns its id.

        Raises ConfigError for a name that is empty, too long or taken.
        """
        name = _checked_name(name)
        values = {
            "name": name,
            "config": config,
            "fingerprint": fingerprint,
            "pool_size": pool_size,
        }
        with self._writing(_taken(name)) as connection:
            key = connection.execute(insert(experiments).values(values)).inserted_primary_key
            assert key is not None
            experiment_id: int = key[0]
            _append(connection, experiment_id, first_annotations)
            if first_batch is not None:
                _add_batch(connection, experiment_id, first_batch)
        return experiment_id

    def experiments(self, deleted: bool = False) -> list[ExperimentRecord]:
        """The experiments, newest first; or the deleted ones."""
        gone = experiments.c.deleted_at.is_not(None)
        with self._reading() as connection:
            rows = connection.execute(
                select(experiments)
                .where(gone if deleted else ~gone)
                .order_by(experiments.c.id.desc())
            )
            return [ExperimentRecord(**row._mapping) for row in rows]

    def experiment(self, name_or_id: str | int) -> ExperimentRecord:
        """One experiment by name or id; raises UnknownExperiment."""
        column = experiments.c.id if isinstance(name_or_id, int) else experiments.c.name
        with self._reading() as connection:
            row = connection.execute(
                select(experiments).where(column == name_or_id, experiments.c.deleted_at.is_(None))
            ).first()
        if row is None:
            known = ", ".join(f"“{e.name}”" for e in self.experiments()[:10]) or "none yet"
            raise UnknownExperiment(f"There is no experiment “{name_or_id}”; there are: {known}.")
        return ExperimentRecord(**row._mapping)

    def rename_experiment(self, experiment_id: int, name: str) -> None:
        """Give an experiment another name; raises ConfigError as for a new one."""
        name = _checked_name(name)
        self._update(experiment_id, _taken(name), name=name)

    def set_config(self, experiment_id: int, config: dict[str, Any]) -> None:
        """Replace an experiment's settings."""
        self._update(experiment_id, "", config=config)

    def delete_experiment(self, experiment_id: int) -> None:
        """Put an experiment out of sight. Its labels stay in the log, and it can be restored."""
        self._update(experiment_id, "", deleted_at=now())

    def restore_experiment(self, experiment_id: int) -> None:
        """Bring a deleted experiment back; raises ConfigError if its name is taken by now."""
        self._update(
            experiment_id,
            "Another experiment has its name by now; rename that one first.",
            deleted_at=None,
        )

    # The log of one experiment

    def append(self, experiment_id: int, new: Iterable[Annotation]) -> None:
        """Add annotations, in order, in one transaction: all are on disk when this returns.

        One whose ``event`` the experiment has already is not written again.
        """
        with self._writing() as connection:
            _append(connection, experiment_id, new)

    def annotations(self, experiment_id: int, round: int | None = None) -> list[Annotation]:
        """All annotations of an experiment, or of one round, in the order they were made."""
        columns = [c for c in annotations.c if c.name not in ("id", "experiment_id")]
        query = select(*columns).where(annotations.c.experiment_id == experiment_id)
        if round is not None:
            query = query.where(annotations.c.round == round)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(annotations.c.id))
            return [Annotation(**row._mapping) for row in rows]

    def batches(self, experiment_id: int) -> list[Batch]:
        """All batches of an experiment, in the order they were chosen."""
        with self._reading() as connection:
            return [
                _batch(row)
                for row in connection.execute(
                    select(batches)
                    .where(batches.c.experiment_id == experiment_id)
                    .order_by(batches.c.id)
                )
            ]

    def is_open(self, batch_id: int) -> bool:
        """Whether a batch waits to be labelled and handed in."""
        query = select(batches.c.id).where(
            batches.c.id == batch_id, batches.c.handed_in_at.is_(None)
        )
        with self._reading() as connection:
            return connection.execute(query).first() is not None

    def hand_in(self, experiment_id: int, batch_id: int, further: Batch | None = None) -> None:
        """Close a batch, opening a ``further`` one with it; a second time changes nothing."""
        with self._writing() as connection:
            closed = connection.execute(
                update(batches)
                .where(batches.c.id == batch_id, batches.c.handed_in_at.is_(None))
                .values(handed_in_at=now())
            )
            if further is not None and closed.rowcount:
                _add_batch(connection, experiment_id, further)

    def rounds(self, experiment_id: int) -> list[RoundRecord]:
        """The finished rounds of an experiment, in order."""
        columns = [c for c in rounds.c if c.name not in ("id", "experiment_id", "created_at")]
        query = (
            select(*columns).where(rounds.c.experiment_id == experiment_id).order_by(rounds.c.round)
        )
        with self._reading() as connection:
            return [RoundRecord(**row._mapping) for row in connection.execute(query)]

    def add_round(self, experiment_id: int, record: RoundRecord, batch: Batch | None) -> None:
        """Write a finished round and the batch its model chose, both or neither.

        A round that is there already (another server was quicker) stays as it is.
        """
        with self._writing() as connection:
            there = connection.execute(
                select(rounds.c.id).where(
                    rounds.c.experiment_id == experiment_id,
                    rounds.c.round == record.round,
                )
            ).first()
            if there is None:
                connection.execute(
                    insert(rounds).values(experiment_id=experiment_id, **asdict(record))
                )
                if batch is not None:
                    _add_batch(connection, experiment_id, batch)

    # How the database is reached

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _sentences("read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self, taken: str = "") -> Iterator[Connection]:
        with _sentences("written", taken), self._engine.begin() as connection:
            yield connection

    def _update(self, experiment_id: int, taken: str, **values: Any) -> None:
        with self._writing(taken) as connection:
            connection.execute(
                update(experiments).where(experiments.c.id == experiment_id).values(**values)
            )


def _prepare_sqlite(connection: SqliteConnection, _: object) -> None:
    """Readers never wait (WAL), writers wait for each other, a commit survives a power cut."""
    connection.execute(f"PRAGMA busy_timeout={LOCK_SECONDS * 1000}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise ConfigError("An experiment needs a name.")
    if len(name) > NAME_LENGTH:
        raise ConfigError(f"The name is too long: {NAME_LENGTH} characters at most.")
    return name


def _taken(name: str) -> str:
    return f"There is an experiment “{name}” already; choose another name."


def _append(connection: Connection, experiment_id: int, new: Iterable[Annotation]) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    rows = [{"experiment_id": experiment_id, **asdict(annotation)} for annotation in new]
    if rows:
        once = dialect.insert(annotations).on_conflict_do_nothing(
            index_elements=["experiment_id", "event"]
        )
        connection.execute(once, rows)


def _add_batch(connection: Connection, experiment_id: int, batch: Batch) -> None:
    connection.execute(
        insert(batches).values(
            experiment_id=experiment_id,
            round=batch.round,
            strategy=batch.strategy,
            images=list(batch.images),
            scores=None if batch.scores is None else list(batch.scores),
        )
    )


def _batch(row: Row[Any]) -> Batch:
    values = {slot: row._mapping[slot] for slot in Batch.__slots__}
    return Batch(**values)


@contextmanager
def _sentences(doing: str, taken: str = "") -> Iterator[None]:
    """Turn what the database says into a StoreError that a person can act on."""
    try:
        yield
    except IntegrityError as error:
        if taken:
            raise ConfigError(taken) from error
        raise StoreError(f"The database refused a row: {error.orig}.") from error
    except (SQLAlchemyError, OSError, ImportError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0].rstrip(".")
        for symptom, advice in _ADVICE.items():
            if symptom in cause:
                cause = f"{cause}; {advice}"
        raise StoreError(f"The database cannot be {doing}: {cause}.") from error


_ADVICE = {
    "could not be acquired": "another program holds the lock; try again",
    "full": "make room on the disk and try again",
    "locked": "another program has held it for too long; try again",
    "readonly": "allow writing to the file and its folder",
    "not a database": "move the file away, or set AL_HOME to another folder",
    "malformed": "restore it from a copy, or set AL_HOME to another folder",
    "unable to open": "see that the folder exists and may be written, or set AL_HOME",
    "Permission denied": "allow writing there, or set AL_HOME to another folder",
}
