"""The log: what was written is there, once, in order, whatever happens."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import make_url
from waiting import until

from al_core.errors import ConfigError, StoreError, StoreUnavailable, UnknownExperiment
from al_core.experiment.pool import Pool
from al_core.files.paths import files_beside
from al_core.store.records import Annotation, Batch, RoundRecord
from al_core.store.store import Store
from tests.postgres import Postgres


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


def new(store: Store, name: str = "birds", **first) -> int:
    return store.create_experiment(name, {"seed": 1}, "abc", 100, **first)


def said(image: int, label: int | None, event: str | None = None) -> Annotation:
    return Annotation(image, label, 1, "ada", key=f"{image}.png", event=event, milliseconds=250)


ROOT = Path(__file__).parents[1]
RECORD = RoundRecord(0, 20, {"accuracy": 0.5}, [[1.0, 2.0, 0.5]], 1.0, 2.0, 3.0, 0.1, 80)


def test_what_was_written_is_read_back_by_another_store(store: Store, database: str) -> None:
    experiment = new(store, first_annotations=[said(4, 2)])
    store.append(experiment, [said(7, None), said(4, 1)])
    store.add_round(experiment, RECORD, Batch(1, "margin", [3, 9], [-0.1, -0.2]))

    again = Store(database)
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


def test_two_writers_lose_nothing_and_write_nothing_twice(store: Store, database: str) -> None:
    experiment = new(store)

    def write(tab: str) -> None:
        mine = Store(database)
        for i in range(50):
            mine.append(experiment, [said(i, 0, f"{tab}:{i}"), said(i, 1, f"both:{i}")])
            mine.change_config(experiment, {tab: i})
        mine.close()

    threads = [threading.Thread(target=write, args=(tab,)) for tab in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = [a.event for a in store.annotations(experiment)]
    assert len(events) == len(set(events)) == 150
    assert store.experiment(experiment).config == {"seed": 1, "a": 49, "b": 49}


@pytest.mark.slow
def test_processes_that_meet_on_a_new_database_all_open_it(database: str) -> None:
    code = f"from al_core.store.store import Store; Store('{database}').experiments()"
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


def test_files_lie_apart_by_database_whoever_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def folder(address: str) -> Path:
        return files_beside(address)

    own = folder("postgresql+psycopg://ada:secret@host/one")
    assert own == folder("postgresql+psycopg://ben@host:5432/one")
    assert own != folder("postgresql+psycopg://ada:secret@host/two")
    assert "secret" not in str(own)
    # A folder of an earlier day is found again: an address is read as SQLAlchemy reads it.
    for address in (
        "sqlite:////tmp/of mine.db?mode=ro",
        "postgresql+psycopg://ada:a/b?c@[::1]:77/one?options=-c%20x",
        "postgresql:///one?host=/run/postgresql",
    ):
        url = make_url(address)
        where = (url.get_backend_name(), url.host, url.port or 5432, url.database)
        digest = hashlib.blake2b(repr(where).encode(), digest_size=6).hexdigest()
        assert folder(address).name == f"of-{digest}"


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


def test_a_lock_is_held_by_one_at_a_time_until_its_holder_ends(database: str) -> None:
    store, code = Store(database), "\n".join((
        "import sys, time; from al_core.store.store import Store",
        f"store = Store('{database}'); lock = store.try_lock('training-1')",
        "print(lock.is_locked, flush=True); time.sleep(60)",
    ))  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "True\n"
        assert store.is_locked("training-1")
        assert store.try_lock("training-1") is None
        assert not store.is_locked("training-2")
        other.kill()
    lock = until(lambda: store.try_lock("training-1"))  # PostgreSQL needs a moment to see it
    assert store.is_locked("training-1")
    lock.release()
    assert not store.is_locked("training-1")
    store.close()
