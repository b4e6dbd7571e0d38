"""Databases of other releases: an old one opens, a later one is refused; a failure undoes all."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, text

from al_core.errors import StoreError
from al_core.store import database as opening
from al_core.store.annotations import Annotation
from al_core.store.records import Batch
from al_core.store.store import Store
from al_core.store.tables import metadata

FIRST_RELEASE = Path(__file__).with_name("first_release.sql")
FAILS = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", {newest!r}
def upgrade():
    op.create_table("more", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("rounds", sa.Column("more", sa.Text))
    op.execute("DELETE FROM annotations")
    op.execute("DROP TABLE nothing_of_that_name")
"""


def differences(store: Store) -> list:
    """Between the tables of a database and those that the program reckons with."""
    with store._database.reading() as connection:
        how = {"compare_server_default": True, "version_table": opening.VERSIONS}
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


def test_a_database_of_the_first_release_opens_with_all_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "al.db"
    with sqlite3.connect(path) as old:
        old.executescript(FIRST_RELEASE.read_text(encoding="utf-8"))
    store = Store(f"sqlite:///{path}")
    assert differences(store) == []
    (said,) = store.annotations(1)
    assert (said.image, said.label, said.undoes, said.guess_shown) == (3, 2, False, False)
    assert [(b.round, b.images, b.scores) for b in store.batches(1)] == [
        (0, [3], None),
        (1, [4, 5], [-0.1, -0.2]),
    ]
    assert store.rounds(1)[0].metrics == {"accuracy": 0.5}
    # A round had one batch then.
    assert store.add_batch(1, Batch(1, "margin", [6], None), 2)
    assert not store.add_batch(1, Batch(1, "margin", [7], None), 2)


def test_a_database_of_a_later_release_is_refused_in_a_sentence(database: str) -> None:
    Store(database).close()
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("UPDATE al_version SET version_num = '9999'"))
    engine.dispose()
    before = everything(database)
    with pytest.raises(StoreError, match=r"later version of this program.*update the program"):
        Store(database)
    assert everything(database) == before


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(database)
    experiment = store.create_experiment("birds", {}, "abc", 9, [Annotation(1, 0, 0, "ada")])
    store.close()
    before = everything(database)
    later = tmp_path / "migrations"
    shutil.copytree(opening.MIGRATIONS, later)
    (later / "versions" / "9999_fails.py").write_text(FAILS.format(newest=opening.NEWEST))
    with monkeypatch.context() as patch:
        patch.setattr(opening, "MIGRATIONS", later)
        patch.setattr(opening, "NEWEST", "9999")
        with pytest.raises(StoreError, match="nothing_of_that_name"):
            Store(database)
    assert everything(database) == before
    again = Store(database)
    assert [said.image for said in again.annotations(experiment)] == [1]
    again.close()
