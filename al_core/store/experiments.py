"""The experiments of a database: listed, renamed, changed, deleted and restored."""

from typing import Any

from sqlalchemy import Update, select, update

from al_core.errors import UnknownExperiment
from al_core.names import checked
from al_core.store.database import Database
from al_core.store.records import ExperimentRecord, now
from al_core.store.tables import experiments


class Experiments(Database):
    """What a :class:`al_core.store.store.Store` does with experiments, but for their logs."""

    def experiments(self, deleted: bool = False) -> list[ExperimentRecord]:
        """The experiments, newest first; or the deleted ones."""
        gone = experiments.c.deleted_at.is_not(None)
        query = select(experiments).where(gone if deleted else ~gone)
        rows = self.rows(query.order_by(experiments.c.id.desc()))
        return [ExperimentRecord(**row._mapping) for row in rows]

    def experiment(self, name_or_id: str | int) -> ExperimentRecord:
        """One experiment by name or id; raises UnknownExperiment."""
        column = experiments.c.id if isinstance(name_or_id, int) else experiments.c.name
        here = (column == name_or_id, experiments.c.deleted_at.is_(None))
        for row in self.rows(select(experiments).where(*here)):
            return ExperimentRecord(**row._mapping)
        known = ", ".join(f"“{e.name}”" for e in self.experiments()[:10]) or "none yet"
        raise UnknownExperiment(f"There is no experiment “{name_or_id}”; there are: {known}.")

    def rename_experiment(self, experiment_id: int, name: str) -> None:
        """Give an experiment another name; raises ConfigError as for a new one."""
        name = checked("An experiment", name)
        self.change(_experiment(experiment_id).values(name=name), taken(name))

    def change_config(self, experiment_id: int, changes: dict[str, Any]) -> None:
        """Change some settings of an experiment; the others stay, even if another tab is changing
        one of them at the same moment."""
        row, config = _experiment(experiment_id), experiments.c.config
        with self.writing() as connection:
            # Writing first takes the lock before the read: in SQLite a SELECT takes none.
            written = connection.execute(row.values(config=config).returning(config))
            connection.execute(row.values(config=written.scalar_one() | changes))

    def delete_experiment(self, experiment_id: int, annotator: str | None = None) -> None:
        """Hide an experiment. Its labels stay in the log, and it can be restored."""
        gone = {"deleted_at": now(), "deleted_by": annotator}
        self.change(_experiment(experiment_id).values(gone))

    def restore_experiment(self, experiment_id: int) -> None:
        """Bring a deleted experiment back; raises ConfigError if its name has been taken."""
        taken = "Another experiment has its name by now; rename that one first."
        self.change(_experiment(experiment_id).values(deleted_at=None, deleted_by=None), taken)


def _experiment(experiment_id: int) -> Update:
    return update(experiments).where(experiments.c.id == experiment_id)


def taken(name: str) -> str:
    return f"There is an experiment “{name}” already; choose another name."
