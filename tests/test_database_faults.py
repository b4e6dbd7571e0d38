"""A database that is damaged, held, lost, full or away: that is said in a sentence, and no label is
lost or half written."""

import sqlite3
from pathlib import Path

import pytest
from birds import new, said

from al_core.errors import StoreError, StoreUnavailable
from al_core.store.store import Store
from tests.postgres import Postgres


def test_a_file_that_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "al.db").write_text("a shopping list, long enough to be taken for a header " * 9)
    with pytest.raises(StoreError, match=r"not a database.*AL_HOME"):
        Store(f"sqlite:///{tmp_path / 'al.db'}")


@pytest.mark.parametrize("url", ["nonsense", "oracle+nope://x", "sqlite:////proc/nowhere/al.db"])
def test_a_database_that_cannot_be_opened_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(StoreError, match=r"^The database cannot be opened: [^\n]*$"):
        Store(url)


def test_a_locked_database_is_told_and_nothing_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_core.store.database.LOCK_SECONDS", 0.05)
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    experiment = new(store)
    with sqlite3.connect(tmp_path / "al.db") as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another program holds it"):
            store.append(experiment, [said(1, 0), said(2, 0)])
    other.close()
    store.append(experiment, [said(1, 0)])
    assert len(store.annotations(experiment)) == 1


def test_nothing_is_written_into_a_database_file_that_was_moved_away(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "al.db", tmp_path / "elsewhere.db"
    store = Store(f"sqlite:///{path}")
    experiment = new(store, annotations=[said(1, 0)])
    path.rename(elsewhere)
    for use in (store.experiments, lambda: store.append(experiment, [said(2, 0)])):
        with pytest.raises(StoreUnavailable, match=r"al\.db has disappeared; bring the file back"):
            use()
    assert not path.exists()
    elsewhere.rename(path)
    store.append(experiment, [said(3, 0)])
    assert [a.image for a in store.annotations(experiment)] == [1, 3]


def test_a_copy_put_in_place_of_the_database_is_used_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "al.db"
    store = Store(f"sqlite:///{path}")
    experiment = new(store, annotations=[said(1, 0)])
    with sqlite3.connect(path) as now, sqlite3.connect(tmp_path / "copy.db") as copy:
        now.backup(copy)
    store.append(experiment, [said(2, 0)])
    for left in tmp_path.glob("al.db*"):
        left.unlink()
    (tmp_path / "copy.db").rename(path)
    store.append(experiment, [said(3, 0)])
    assert [a.image for a in store.annotations(experiment)] == [1, 3]


def test_a_full_disk_is_told_and_the_labels_before_it_stay(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    experiment = new(store)
    store.append(experiment, [said(1, 0)])
    with store.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.rollback()
    with pytest.raises(StoreError, match=r"full.*make room"):
        store.append(experiment, [said(i, 0, f"tab:{i}") for i in range(5000)])
    assert [a.image for a in store.annotations(experiment)] == [1]


def test_a_database_server_that_is_away_is_told_and_used_again_when_it_is_back(
    postgres: Postgres,
) -> None:
    store = Store(postgres.database())
    experiment = new(store)
    store.append(experiment, [said(1, 0, "tab:0")])
    lock = store.try_lock("server-a")
    postgres.stop()
    for use in (store.experiments, lambda: store.append(experiment, [said(2, 0, "tab:1")])):
        with pytest.raises(StoreUnavailable, match="The database cannot be"):
            use()
    postgres.start()
    store.append(experiment, [said(1, 0, "tab:0"), said(2, 0, "tab:1")])
    assert [a.image for a in store.annotations(experiment)] == [1, 2]
    assert not lock.is_locked
    assert store.try_lock("server-a").is_locked
    store.close()


def test_a_table_that_another_program_holds_is_told_soon(postgres: Postgres) -> None:
    address = postgres.database()
    store = Store(address)
    experiment = new(store)
    with postgres.connect(address.rpartition("/")[2]) as other, other.transaction():
        other.execute("LOCK TABLE annotations")
        with pytest.raises(StoreUnavailable, match="another program holds it"):
            store.append(experiment, [said(1, 0)])
    store.append(experiment, [said(1, 0)])
    store.close()
