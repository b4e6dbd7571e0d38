"""A backup is whole whoever writes meanwhile, and is brought back without losing what is there."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest
from birds import new, said
from click.testing import CliRunner, Result
from waiting import when_free

from al_core.cli.main import main
from al_core.errors import StoreError
from al_core.store.store import Store


def al_core(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def refused(*words: object) -> str:
    ended = al_core(*words)
    assert ended.exit_code == 1, ended.output
    assert ended.stderr.count("\n") == 1
    return ended.stderr


def test_a_backup_that_is_made_while_somebody_labels_is_whole(home: Path, store: Store) -> None:
    """Each backup holds the answers of two people up to some moment, and none after a gap."""
    birds = new(store)
    written = dict.fromkeys(("ada", "ben"), 0)
    began, stop = Event(), Event()

    def label(name: str) -> None:
        own = Store()
        while not stop.is_set():
            number = written[name]
            # Two rows in one transaction: both are in a backup, or neither.
            rows = [said(number, i, f"{name} {number} {i}") for i in range(2)]
            when_free(partial(own.append, birds, rows))
            written[name] += 1
            if min(written.values()) > 2:
                began.set()
        own.close()

    people = [Thread(target=label, args=(name,)) for name in written]
    for one in people:
        one.start()
    assert began.wait(60)
    counts = []
    try:
        for number in range(5):
            least = dict(written)
            assert al_core("backup", home / f"{number}.backup").exit_code == 0
            counts.append((least, dict(written)))
    finally:
        stop.set()
        for one in people:
            one.join()
    store.close()
    for number, (least, most) in enumerate(counts):
        assert whole(home / f"{number}.backup")
        assert al_core("restore", home / f"{number}.backup").exit_code == 0
        assert whole(home / "al.db")
        again = Store()
        events = [one.event for one in again.log(birds)]
        again.close()
        for name in written:
            own = [event for event in events if event.startswith(name)]
            assert own == [f"{name} {i} {j}" for i in range(len(own) // 2) for j in range(2)]
            assert least[name] <= len(own) // 2 <= most[name] + 1


def test_what_is_replaced_is_kept_beside_it_and_can_be_brought_back(
    home: Path, store: Store
) -> None:
    birds, fish = new(store, "birds"), new(store, "fish")
    store.append(birds, [said(1, 1, "before")])
    assert al_core("backup", home / "mine.backup").stdout.startswith("2 experiments copied to ")
    store.append(birds, [said(1, 0, "after")])
    for number in (birds, fish, 7):
        store.folder(number).mkdir(parents=True)
        (store.folder(number) / "ready.json").write_text("chosen by the labels that there were")
    store.close()
    ended = al_core("restore", home / "mine.backup")
    assert ended.exit_code == 0
    (kept,) = home.glob("al.db.*.backup")
    assert f"kept as {kept}." in ended.stdout
    again = Store()
    assert [one.event for one in again.log(birds)] == ["before"]
    # What was computed goes with the labels it was computed from.
    assert [store.folder(number).exists() for number in (birds, fish, 7)] == [False, True, False]
    again.close()
    assert al_core("restore", kept).exit_code == 0
    assert [one.event for one in Store().log(birds)] == ["before", "after"]


def test_the_files_of_a_former_experiment_of_its_number_are_not_those_of_a_new_one(
    home: Path, store: Store
) -> None:
    store.close()
    al_core("backup", home / "empty.backup")
    later = Store()
    number = new(later)
    later.folder(number).mkdir(parents=True)
    later.close()
    ended = al_core("restore", home / "empty.backup")
    assert ended.exit_code == 0, ended.output
    assert not store.folder(new(Store())).exists()


def test_nothing_is_restored_over_a_database_that_somebody_has_open(
    home: Path, store: Store
) -> None:
    number = new(store)
    al_core("backup", home / "mine.backup")
    store.append(number, [said(1, 1)])
    before = sorted(home.iterdir())
    assert "The database is in use: close the desk" in refused("restore", home / "mine.backup")
    assert len(store.log(number)) == 1
    assert sorted(home.iterdir()) == before
    store.append(number, [said(2, 1)])  # its owner goes on
    store.close()
    assert al_core("restore", home / "mine.backup").exit_code == 0


def test_what_is_no_whole_database_of_this_program_is_refused(home: Path, store: Store) -> None:
    number = new(store)
    store.append(number, [said(i, 1) for i in range(500)])
    al_core("backup", home / "mine.backup")
    store.close()
    good = (home / "mine.backup").read_bytes()
    (home / "text").write_text("birds, fish\n" * 200)
    (home / "empty").touch()
    (home / "half").write_bytes(good[: len(good) // 2])
    (home / "holes").write_bytes(good[:8192] + bytes(16384) + good[24576:])
    with closing(sqlite3.connect(home / "others")) as others, others:
        others.execute("CREATE TABLE experiments (id INTEGER)")
    shutil.copy(home / "mine.backup", home / "newer")
    with closing(sqlite3.connect(home / "newer")) as newer, newer:
        newer.execute("UPDATE log_version SET version_num = '9999'")
    before = {path.name for path in home.iterdir()}
    for name, reason in (
        ("nowhere", "There is no file"),
        ("text", "no whole database"),
        ("empty", "is no database of this program"),
        ("half", "damaged"),
        ("holes", "damaged"),
        ("others", "is no database of this program"),
        ("newer", "was written by a later version"),
        ("al.db", "is the database itself"),
    ):
        said_so = refused("restore", home / name)
        assert reason in said_so or "no whole database" in said_so, said_so
    assert {path.name for path in home.iterdir()} == before
    assert len(Store().log(number)) == 500


def test_a_damaged_database_is_kept_and_a_backup_takes_its_place(home: Path, store: Store) -> None:
    number = new(store)
    al_core("backup", home / "mine.backup")
    store.close()
    (home / "al.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreError):
        Store()
    assert "cannot be" in refused("backup", home / "other.backup")
    ended = al_core("restore", home / "mine.backup")
    assert ended.exit_code == 0, ended.output
    assert Store().experiment(number).name == "birds"
    (kept,) = home.glob("al.db.*.backup")
    assert kept.read_bytes() == b"no database at all" * 1000


def test_a_copy_of_the_file_with_its_wal_is_restored_too(home: Path, store: Store) -> None:
    number = new(store)
    store.append(number, [said(1, 1)])
    other = home / "copy"
    other.mkdir()
    for path in home.glob("al.db*"):
        shutil.copy(path, other)
    assert (other / "al.db-wal").stat().st_size
    store.close()
    assert al_core("restore", other / "al.db").exit_code == 0
    assert len(Store().log(number)) == 1


def test_a_backup_writes_over_no_file_of_another_kind(home: Path, store: Store) -> None:
    assert "mine.csv is another file" in refused("backup", written(home / "mine.csv"))
    assert (home / "mine.csv").read_text() == "key,class_name\n"
    assert "files that this program keeps" in refused("backup", home / "al.db")
    assert "cannot be written" in refused("backup", home / "nowhere" / "mine.backup")
    for _ in range(2):  # a backup makes way for the next
        assert al_core("backup", home / "mine.backup").exit_code == 0


def written(path: Path) -> Path:
    path.write_text("key,class_name\n")
    return path


def test_before_there_is_a_database_there_is_nothing_to_back_up(home: Path) -> None:
    assert "nothing to back up" in refused("backup", home / "mine.backup")
    assert [*home.iterdir()] == []


def test_postgresql_makes_its_own_backups(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL_DATABASE_URL", "postgresql+psycopg://me@nowhere/al")
    assert "pg_dump" in refused("backup", home / "mine.backup")
    assert "pg_restore" in refused("restore", written(home / "mine.backup"))
