"""The log: what was written is there, once, in order, whatever happens."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from al_core.errors import ConfigError, StoreError, StoreUnavailable, UnknownExperiment
from al_core.pool import Annotation, Pool
from al_core.schema import Batch, RoundRecord
from al_core.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'al.db'}")


def new(store: Store, name: str = "birds", **first) -> int:
    return store.create_experiment(name, {"seed": 1}, "abc", 100, **first)


def said(image: int, label: int | None, event: str | None = None) -> Annotation:
    return Annotation(image, label, 1, "ada", key=f"{image}.png", event=event, milliseconds=250)


ROOT = Path(__file__).parents[1]
RECORD = RoundRecord(0, 20, {"accuracy": 0.5}, [[1.0, 2.0, 0.5]], 1.0, 2.0, 3.0, 0.1, 80)


def test_what_was_written_is_read_back_by_another_store(store: Store, tmp_path: Path) -> None:
    experiment = new(store, first_annotations=[said(4, 2)])
    store.append(experiment, [said(7, None), said(4, 1)])
    store.add_round(experiment, RECORD, Batch(1, "margin", [3, 9], [-0.1, -0.2]))

    again = Store(f"sqlite:///{tmp_path / 'al.db'}")
    assert [(a.image, a.label) for a in again.annotations(experiment)] == [
        (4, 2),
        (7, None),
        (4, 1),
    ]
    assert again.rounds(experiment) == [RECORD]
    (batch,) = again.batches(experiment)
    assert (batch.images, batch.scores, batch.handed_in_at) == ([3, 9], [-0.1, -0.2], None)


def test_times_come_back_with_their_zone(store: Store) -> None:
    written = said(1, 1)
    experiment = new(store, first_annotations=[written])
    assert store.annotations(experiment)[0] == written


def test_an_event_that_is_sent_twice_is_kept_once(store: Store) -> None:
    experiment, other = new(store), new(store, "other")
    store.append(experiment, [said(1, 0, "tab:0"), said(2, 0, "tab:1")])
    store.append(experiment, [said(1, 0, "tab:0"), said(2, 0, "tab:1"), said(3, 0, "tab:2")])
    store.append(other, [said(1, 0, "tab:0")])
    assert [a.image for a in store.annotations(experiment)] == [1, 2, 3]
    assert len(store.annotations(other)) == 1


def test_two_writers_lose_nothing_and_write_nothing_twice(store: Store) -> None:
    experiment = new(store)

    def write(tab: str) -> None:
        mine = Store(str(store._database.url))
        for i in range(50):
            mine.append(experiment, [said(i, 0, f"{tab}:{i}"), said(i, 1, f"both:{i}")])

    threads = [threading.Thread(target=write, args=(tab,)) for tab in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = [a.event for a in store.annotations(experiment)]
    assert len(events) == len(set(events)) == 150


def test_a_database_of_the_first_version_opens_with_its_labels(tmp_path: Path) -> None:
    path = tmp_path / "al.db"
    Store(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as database:
        database.execute("DROP INDEX one_batch_per_place")
        for table, columns in {
            "batches": ("place", "model", "reasons", "holder", "annotator", "leased_until"),
            "annotations": ("undoes", "guess_shown"),
            "rounds": ("compared", "disagreed", "guesses_shown"),
        }.items():
            for column in columns:
                database.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        database.execute(
            "INSERT INTO experiments VALUES (1, 'old', '{}', 'f', 9, '2026-01-01 00:00:00', NULL)"
        )
        database.execute(
            "INSERT INTO annotations VALUES "
            "(1, 1, 0, 3, 'k', 2, 0, 'ada', '2026-01-01 00:00:00', NULL, NULL)"
        )
    store = Store(f"sqlite:///{path}")
    (said,) = store.annotations(1)
    assert (said.image, said.label, said.undoes, said.guess_shown) == (3, 2, False, False)
    assert store.add_batch(1, Batch(0, "random", [1], None), 0)
    assert not store.add_batch(1, Batch(0, "random", [2], None), 0)


def test_processes_that_meet_on_a_new_database_all_open_it(tmp_path: Path) -> None:
    code = f"from al_core.store import Store; Store('sqlite:///{tmp_path / 'al.db'}').experiments()"
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0, 0, 0, 0]


def test_a_round_and_its_batch_are_written_once_together(store: Store) -> None:
    experiment = new(store)
    store.add_round(experiment, RECORD, Batch(1, "random", [1, 2], None))
    store.add_round(experiment, RECORD, Batch(1, "random", [5, 6], None))
    assert len(store.rounds(experiment)) == 1
    assert [b.images for b in store.batches(experiment)] == [[1, 2]]


def test_handing_in_closes_a_batch_once(store: Store) -> None:
    experiment = new(store, first_batch=Batch(0, "random", [1], None))
    (batch,) = store.batches(experiment)
    store.hand_in(batch.id)
    first = store.batches(experiment)[0].handed_in_at
    store.hand_in(batch.id)
    assert first is not None
    assert store.batches(experiment)[0].handed_in_at == first


def test_names_are_unique_among_experiments_that_are_not_deleted(store: Store) -> None:
    experiment = new(store, "birds")
    with pytest.raises(ConfigError, match="birds"):
        new(store, "birds")
    store.delete_experiment(experiment)
    second = new(store, "birds")
    assert [e.id for e in store.experiments()] == [second]
    with pytest.raises(ConfigError, match="rename that one first"):
        store.restore_experiment(experiment)
    store.rename_experiment(second, "other birds")
    store.restore_experiment(experiment)
    assert {e.name for e in store.experiments()} == {"birds", "other birds"}


def test_deleting_an_experiment_keeps_its_labels(store: Store) -> None:
    experiment = new(store, first_annotations=[said(1, 0)])
    store.delete_experiment(experiment)
    assert len(store.annotations(experiment)) == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_name_that_cannot_be_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        new(store, name)


def test_an_unknown_experiment_is_answered_with_the_known_ones(store: Store) -> None:
    new(store, "birds")
    with pytest.raises(UnknownExperiment, match="birds"):
        store.experiment("fish")


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
    monkeypatch.setattr("al_core.database.LOCK_SECONDS", 0.05)
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
    experiment = new(store, first_annotations=[said(1, 0)])
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
    experiment = new(store, first_annotations=[said(1, 0)])
    with sqlite3.connect(path) as now, sqlite3.connect(tmp_path / "copy.db") as copy:
        now.backup(copy)
    store.append(experiment, [said(2, 0)])
    for left in tmp_path.glob("al.db*"):
        left.unlink()
    (tmp_path / "copy.db").rename(path)
    store.append(experiment, [said(3, 0)])
    assert [a.image for a in store.annotations(experiment)] == [1, 3]


def test_a_full_disk_is_told_and_the_labels_before_it_stay(store: Store) -> None:
    experiment = new(store)
    store.append(experiment, [said(1, 0)])
    with store._database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.rollback()
    with pytest.raises(StoreError, match=r"full.*make room"):
        store.append(experiment, [said(i, 0, f"tab:{i}") for i in range(5000)])
    assert [a.image for a in store.annotations(experiment)] == [1]


log = st.lists(
    st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(0, 3)), st.booleans()),
    max_size=30,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log)
def test_the_log_folds_to_the_same_pool_after_a_round_trip(tmp_path: Path, entries: list) -> None:
    store = Store(f"sqlite:///{tmp_path / os.urandom(8).hex()}.db")
    experiment = new(store)
    written = [Annotation(i, label, 1, "ada", cleared=cleared) for i, label, cleared in entries]
    for annotation in written:
        store.append(experiment, [annotation])
    assert Pool.fold(10, store.annotations(experiment)).answers == Pool.fold(10, written).answers
    store.close()
