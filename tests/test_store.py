"""The log: what was written is there, once, in order, whatever happens."""

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from birds import new, said
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from waiting import until, when_free

from al_core.errors import ConfigError, UnknownExperiment
from al_core.files.paths import files_beside
from al_core.store.erase import compact, erase
from al_core.store.records import Batch, ImageRow, RoundRecord, now
from al_core.store.store import Store
from al_core.store.tables import metadata

ROOT = Path(__file__).parents[1]
RECORD = RoundRecord(0, 20, {"accuracy": 0.5}, [[1.0, 2.0, 0.5]], 1.0, 2.0, 3.0, 0.1, 80)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store(database)
    yield opened
    opened.close()


def test_what_was_written_is_read_back_by_another_store(store: Store, database: str) -> None:
    first, later = [said(4, 2)], [said(7, None), said(4, 1)]  # with their times and zones
    experiment = new(store, annotations=first)
    store.append(experiment, later)
    store.add_round(experiment, RECORD, Batch(1, "margin", [3, 9], [-0.1, -0.2]))

    again = Store(database)
    assert again.annotations(experiment) == [*first, *later]
    assert again.rounds(experiment) == [RECORD]
    (batch,) = again.batches(experiment)
    assert (batch.images, batch.scores, batch.handed_in_at) == ([3, 9], [-0.1, -0.2], None)


def test_a_glance_tells_what_is_there_and_since_what_is_new(store: Store) -> None:
    experiment, other = new(store, annotations=[said(4, 2), said(5, 1)]), new(store, "other")
    store.add_batch(experiment, Batch(1, "margin", [3, 9], [-0.1, -0.2]), 0)
    (batch,) = store.batches(experiment)
    seen = store.glance(experiment, batch.id)
    assert (seen.name, seen.deleted, seen.changes, seen.batch.images) == ("birds", False, 0, [3, 9])
    assert store.glance(other, batch.id).batch is None  # it is not of that experiment
    assert store.glance(10**6) is None
    assert store.since(experiment, seen.last) == (seen.last, {})
    store.append(other, [said(4, 0)])
    store.append(experiment, [said(5, 0), said(7, 1), said(5, 2)])
    last, found = store.since(experiment, seen.last)
    assert {image: [row.label for row in rows] for image, rows in found.items()} == {
        5: [1, 0, 2], 7: [1]
    }  # fmt: skip
    assert store.since(experiment, last) == (last, {})
    assert store.glance(experiment).last == last
    store.delete_experiment(experiment)
    assert store.glance(experiment).deleted


def test_a_lease_is_taken_again_by_its_holder_while_a_label_renews_it(store: Store) -> None:
    experiment = new(store)
    until = now() + timedelta(minutes=10)
    store.add_batch(experiment, Batch(1, "x", [3, 9], None, holder="tab", leased_until=until), 0)
    (batch,) = store.batches(experiment)
    store.append(experiment, [said(3, 0)], (batch, until + timedelta(minutes=1)))
    assert not store.lease(batch, replace(batch, holder="other", annotator="ben"))
    assert store.lease(batch, replace(batch, holder="tab", annotator="ada"))


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
            answers = [said(i, 0, f"{tab}:{i}"), said(i, 1, f"both:{i}")]
            when_free(partial(mine.append, experiment, answers))
            when_free(partial(mine.change_config, experiment, {tab: i}))
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
def test_a_manifest_is_read_back_and_of_two_servers_that_add_to_it_one_looks_again(
    store: Store, database: str
) -> None:
    first = [ImageRow("train", i, f"{i}.png", ("copy.png",), 32 * "a", "", 3, 4) for i in range(3)]
    number = new(store, images=first)
    other = Store(database)
    assert [replace(row, other_names=("copy.png",)) for row in other.images(number)] == first
    assert other.images(number) is other.images(number)  # what is known is not read again
    gone = [replace(first[0], state="missing")]
    assert store.add_images(number, gone, 3)
    assert not other.add_images(number, gone, 3)
    assert [row.state for row in other.images(number)] == ["here"] * 3 + ["missing"]
    assert [*store.images(number)] == [*other.images(number)]
    other.close()


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
    experiment = new(store, batch=Batch(0, "random", [1], None))
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
    experiment = new(store, annotations=[said(1, 0)])
    store.delete_experiment(experiment)
    assert len(store.annotations(experiment)) == 1


def test_an_unknown_experiment_is_answered_with_the_known_ones(store: Store) -> None:
    new(store, "birds")
    with pytest.raises(UnknownExperiment, match="birds"):
        store.experiment("fish")


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


def test_an_experiment_is_erased_from_every_table_and_no_other_gets_its_number(
    store: Store,
) -> None:
    image = ImageRow("train", 0, "4.png", digest="ab" * 16)

    def counts(number: int) -> dict[str, int]:
        with store.reading() as connection:
            return {
                table.name: connection.execute(
                    select(func.count()).where(table.c.experiment_id == number)
                ).scalar_one()
                for table in metadata.sorted_tables
                if "experiment_id" in table.c
            }

    birds, fish = (
        new(store, name, annotations=[said(4, 1)], images=[image]) for name in ("birds", "fish")
    )
    for number in (birds, fish):
        store.add_round(number, RECORD, Batch(1, "margin", [3, 9], [-0.1, -0.2]))
    before = counts(birds)
    assert {name for name, count in before.items() if count} >= {
        "annotations", "batches", "images", "rounds",
    }  # fmt: skip
    erase(store, fish)
    compact(store)
    assert set(counts(fish).values()) == {0}
    assert counts(birds) == before
    assert [record.id for record in store.experiments()] == [birds]
    erase(store, birds)
    assert new(store) > fish


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
