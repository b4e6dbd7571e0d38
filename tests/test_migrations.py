"""Databases of other versions: a migration is all or nothing, after a backup; some are refused."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, text

from al_core.errors import FileNotWritten, StoreError
from al_core.experiment.experiment import Phase, open_experiment
from al_core.store import upgrade
from al_core.store.records import Annotation, FirstRows
from al_core.store.store import Store
from al_core.store.tables import metadata

TODAY = upgrade.NEWEST
MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9998", "{}"
def upgrade():
    op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("rounds", sa.Column("more", sa.Text))
    op.execute("UPDATE annotations SET label = 7")
"""
FAILS = (
    MIGRATION
    + """
    op.execute("DROP TABLE nothing_of_that_name")
"""
)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the program be the one of another version, perhaps with one more migration."""

    def be(version: str, migration: str = "") -> None:
        folder = tmp_path / f"migrations of {version}"
        shutil.copytree(upgrade.MIGRATIONS, folder)
        for path in (folder / "versions").glob("[0-9]*.py"):
            if path.name[:4] > version:
                path.unlink()
        if migration:
            after = migration.format(TODAY)
            (folder / "versions" / f"{version}_made_up.py").write_text(after)
        monkeypatch.setattr(upgrade, "MIGRATIONS", folder)
        monkeypatch.setattr(upgrade, "NEWEST", version)

    return be


def differences(store: Store) -> list:
    """Between the tables of a database and those that the program reckons with."""
    with store.reading() as connection:
        how = {"compare_server_default": True, "version_table": upgrade.VERSIONS}
        context = MigrationContext.configure(connection, opts=how)
        return compare_metadata(context, metadata)


def everything(address: str) -> dict[str, object]:
    """All tables, their columns and their rows."""

    def read(connection: Connection) -> dict[str, object]:
        tables = MetaData()
        tables.reflect(connection)
        return {
            table.name: (table.c.keys(), connection.execute(table.select()).all())
            for table in tables.sorted_tables
        }

    engine = create_engine(address)
    with engine.connect() as connection:
        found = read(connection)
    engine.dispose()
    return found


def test_a_new_database_has_the_tables_that_the_program_reckons_with(database: str) -> None:
    store = Store(database)
    assert differences(store) == []
    store.close()


@pytest.mark.parametrize("version", ["", "CREATE TABLE al_version AS SELECT '0002' version_num"])
def test_a_database_of_before_the_first_version_is_refused_and_left_as_it_is(
    database: str, version: str
) -> None:
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE experiments (id INTEGER PRIMARY KEY, name TEXT)"))
        connection.execute(text("INSERT INTO experiments VALUES (1, 'birds')"))
        connection.execute(text(version or "SELECT 1"))
    engine.dispose()
    before = everything(database)
    with pytest.raises(StoreError, match=r"before version 0\.1\.0.*al_core export.*al_core import"):
        Store(database)
    assert everything(database) == before


def test_a_database_of_a_later_release_is_refused_in_a_sentence(database: str) -> None:
    Store(database).close()
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE log_version SET version_num = '9999'"))
    engine.dispose()
    before = everything(database)
    with pytest.raises(StoreError, match=r"later version of this program.*update the program"):
        Store(database)
    assert everything(database) == before


def test_a_database_of_the_first_tables_keeps_its_log(
    database: str, program: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program("0001")
    Store(database).close()
    put_rows(database, json.loads(Path(__file__).with_name("log_0001.json").read_text()))
    before = everything(database)
    monkeypatch.undo()
    store = Store(database)
    assert differences(store) == []
    experiment = open_experiment(store, "birds")
    store.close()
    assert [batch.held_out for batch in experiment.batches] == [[23, 19, 10], [9, 59]]
    assert (experiment.config.held_out_share, experiment.config.random_baseline) == (0.5, False)
    assert experiment.reserved[:5] == [23, 19, 10, 9, 59]
    assert experiment.phase is Phase.LABELLING
    after = everything(database)
    (columns, rows), (others, said) = after["annotations"], before["annotations"]
    assert columns == [*others, "reason"]
    assert rows == [(*row, None) for row in said]
    # Their probabilities were not divided by the temperature that was found.
    assert {(record.temperature, record.calibrated_by) for record in experiment.rounds} == {
        (1, None)
    }


def test_before_a_migration_runs_a_file_is_copied_as_it_was(
    tmp_path: Path, program: Callable[..., None]
) -> None:
    address = f"sqlite:///{tmp_path / 'al.db'}"
    Store(address).close()
    assert not [*tmp_path.glob("*.backup")]  # a new one has nothing to lose
    labelled(address)
    before = everything(address)
    program("9998", MIGRATION)
    Store(address).close()
    after = everything(address)
    assert {"more", *before} == {*after}
    assert [row.label for row in after["annotations"][1]] == [7]
    (backup,) = tmp_path.glob("*.backup")
    assert backup.name == f"al.db.{TODAY}.backup"
    assert everything(f"sqlite:///{backup}") == before


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database: str, program: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = labelled(database)
    before = everything(database)
    program("9998", FAILS)
    with pytest.raises(StoreError, match="nothing_of_that_name"):
        Store(database)
    assert everything(database) == before
    monkeypatch.undo()
    again = Store(database)
    assert [said.label for said in again.annotations(experiment)] == [0]
    again.close()


def test_without_room_for_the_copy_no_migration_runs(
    tmp_path: Path, program: Callable[..., None]
) -> None:
    address = f"sqlite:///{tmp_path / 'al.db'}"
    labelled(address)
    before = everything(address)
    program("9998", MIGRATION)
    (tmp_path / f"al.db.{TODAY}.backup" / "in the way").mkdir(parents=True)
    with pytest.raises(FileNotWritten, match=rf"al\.db\.{TODAY}\.backup cannot be written"):
        Store(address)
    assert everything(address) == before


def labelled(address: str) -> int:
    """An experiment with one label in the database there."""
    store = Store(address)
    experiment = store.create_experiment(
        "birds", {}, "abc", 9, FirstRows([Annotation(1, 0, 0, "ada")])
    )
    store.close()
    return experiment


def put_rows(address: str, tables: dict[str, list[dict]]) -> None:
    """Write the rows of tables as JSON has them, in which a time is a text."""
    engine, here = create_engine(address), MetaData()
    with engine.begin() as connection:
        here.reflect(connection)
        for name, rows in tables.items():
            for row in rows:
                times = {
                    column: datetime.fromisoformat(row[column])
                    for column in ("created_at", "deleted_at", "handed_in_at", "leased_until")
                    if row.get(column)
                }
                connection.execute(here.tables[name].insert(), row | times)
    engine.dispose()
