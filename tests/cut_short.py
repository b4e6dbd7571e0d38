"""Commands that look after what is kept, killed before each step that they take on the disk.

A step is a change of a file's name, the opening of one to write, a statement of SQL that changes
something, or some work of SQLite within one. Where a command writes in one go, the system ends it
once a file has grown to some size.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from al_core.features.embed import frozen_features
from al_core.images.dataset import Dataset
from al_core.models.hardware import find_hardware
from al_core.progress import finish
from al_core.store.store import Store
from al_core.store.upgrade import copied, opened
from tests.encoders import frozen
from tests.house import House, pictures, told
from tests.kills import Tally, integrity
from tests.warm import context

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "os.utime"}
CHANGING = (
    *("UPDATE", "INSERT", "DELETE", "COMMIT", "VACUUM"),
    *("PRAGMA wal_checkpoint", "PRAGMA journal_mode=D", "PRAGMA user_version="),
)
INSTRUCTIONS = 10_000  # of SQLite between two steps
SHARES = (0.3, 0.9)  # of the size of the database


connect = sqlite3.connect


def leaving_behind(*about: Any, **more: Any) -> sqlite3.Connection:
    """A connection that leaves deleted rows in the file: some systems build SQLite otherwise."""
    made = connect(*about, **more)
    made.execute("PRAGMA secure_delete=OFF")
    return made


def al_core(home: Path, *words: object, at: int = 0, most: int = 0) -> int:
    """Run a command; return how it exited. It is killed before its step number ``at``, or when it
    makes a file larger than ``most`` bytes."""
    process = context.Process(target=_run, args=([*map(str, words)], str(home), at, most))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(words: Sequence[str], home: str, at: int, most: int) -> None:
    import resource

    steps = count(1)

    def step(*_: object) -> int:
        if next(steps) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def said(statement: str) -> None:
        if statement.startswith(CHANGING):
            step()

    def watch(event: str, about: tuple[Any, ...]) -> None:
        opened_to_write = event == "open" and bool(about[2] & WRITES)
        if (event in CHANGES or opened_to_write) and not str(about[0]).endswith(".lock"):
            step()

    def connected(*about: Any, **more: Any) -> sqlite3.Connection:
        made = leaving_behind(*about, **more)
        made.set_trace_callback(said)
        made.set_progress_handler(step, INSTRUCTIONS)
        return made

    os.environ.update(AL_HOME=home)
    with open(os.devnull, "w") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere.fileno(), stream.fileno())
    from al_core.cli.main import main

    if at:
        sys.addaudithook(watch)
    sqlite3.connect = sqlite3.dbapi2.connect = connected if at else leaving_behind
    if most:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python goes on with an error
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    main([*words])


def killed(home: Path, *words: object, first: int = 1, every: int = 1) -> Iterator[str]:
    """Kill a command at the step ``first``, then ``every`` so many steps later, each time beginning
    with what lies below ``home`` now. Yields when it was killed."""
    before = home.with_name(f"{home.name} before")
    shutil.copytree(home, before)
    size = (home / "al.db").stat().st_size
    for at in count(first, every):
        if (ended := al_core(home, *words, at=at)) != -signal.SIGKILL:
            assert ended == 0
            break
        yield f"step {at}"
        put_back(before, home)
    for share in SHARES:
        put_back(before, home)
        if al_core(home, *words, most=int(share * size)):
            yield f"{share:.0%} of the database"
    put_back(before, home)
    shutil.rmtree(before)


def put_back(before: Path, home: Path) -> None:
    """Let there be below ``home`` what was ``before``."""
    shutil.rmtree(home)
    shutil.copytree(before, home)


def amid_a_deletion(home: Path, weights: Path, first: int = 1, every: int = 1) -> Tally:
    """*Delete for good* is killed: others keep all that is theirs, and the command, given again,
    leaves nothing of the experiment."""
    tally = Tally("an experiment is deleted for good")
    with mock.patch("sqlite3.dbapi2.connect", leaving_behind):
        house = House(home, weights)
        photos = pictures(home.with_name("photos"), 0, "abcd")
        others = [house.start("one of two", photos), house.start("two of two", photos)]
        files = house.files()
        upload = pictures(home / "uploads" / "holiday", 50, "abcd")
        secret = house.start("secret thing", upload)
        for _ in range(3):  # what they were is left in free pages
            house.store.change_config(secret, {"class_names": ["secret thing"] * 3000})
        house.store.change_config(secret, {"class_names": ["cat", "dog"]})
    copied(home / "al.db", home / "al.db.0004.backup")
    needles, rows = house.needles(secret), [house.rows(number) for number in others]
    house.store.close()

    def lost() -> int:
        there = house.files()
        return sum(there.get(name) != content for name, content in files.items()) + sum(
            house.rows(number) != was for number, was in zip(others, rows, strict=True)
        )

    delete = ("delete", f"#{secret}", "--for-good", "--yes")
    for when in killed(home, *delete, first=first, every=every):
        tally.kills += 1
        tally.damaged += integrity(home) != "ok"
        tally.lost += lost()
        al_core(home, *delete)  # there may be no such experiment any more
        left = told(home, needles, home / "nowhere")
        if left or house.files().keys() != files.keys():
            print(when, left[:3], house.files().keys() - files.keys())
            tally.otherwise += 1
        tally.lost += lost()
    return tally


def amid_a_cleaning(home: Path, weights: Path, first: int = 1, every: int = 1) -> Tally:
    """*Clean*, down to nothing, is killed: what is left can be used, what cannot be computed again
    is there, and the command, given again, removes what it removes otherwise."""
    tally = Tally("caches are cleaned")
    house = House(home, weights)
    photos, gone = (
        pictures(home.with_name("photos"), 0, "abcd"),
        pictures(home.with_name("gone"), 50, "abcd"),
    )
    number, last = house.start("mine", photos), house.start("one picture is gone", gone)
    next(gone.rglob("*.png")).unlink()
    house.use(last, house.read(gone))
    rows = [house.rows(one) for one in (number, last)]
    house.store.close()
    before, was = house.files(), used(house, photos)
    clean = ("storage", "--clean", "--limit", 0)
    aside = home.with_name("whole")
    shutil.copytree(home, aside)
    assert al_core(home, *clean) == 0
    cleaned = house.files()
    put_back(aside, home)
    for when in killed(home, *clean, first=first, every=every):
        tally.kills += 1
        tally.damaged += integrity(home) != "ok"
        there = house.files()
        tally.lost += sum(there.get(name) != before[name] for name in cleaned)
        tally.lost += [house.rows(one) for one in (number, last)] != rows
        again = home.with_name("again")
        shutil.copytree(home, again)
        al_core(home, *clean)
        if house.files() != cleaned:
            print(when, house.files().keys() ^ cleaned.keys())
            tally.otherwise += 1
        put_back(again, home)
        shutil.rmtree(again)
        tally.otherwise += not all(map(np.array_equal, used(house, photos), was))
    return tally


def used(house: House, folder: Path) -> list[np.ndarray]:
    """What is read from the caches of a folder, or made again."""
    source: Dataset = house.read(folder)
    features = finish(frozen_features(frozen(house.weights), source, find_hardware()))
    return [source.train.images, features.train]


def amid_a_backup(home: Path, weights: Path, first: int = 1, every: int = 1) -> Tally:
    """``backup`` is killed, where there is no such file yet and where there is: it is the former
    one or the new one, and whole."""
    tally = Tally("a backup is made")
    house = House(home, weights)
    number = house.start("mine", pictures(home.with_name("photos"), 0, "abcd"))
    file = home / "mine.backup"
    for former in (False, True):
        house.store.close()
        if former:
            assert al_core(home, "backup", file) == 0
            later = Store()
            later.delete_experiment(number)
            later.close()
        states = [states_in(home / "al.db"), *[states_in(file)] * former]
        for _ in killed(home, "backup", file, first=first, every=every):
            tally.kills += 1
            tally.damaged += integrity(home) != "ok" or states_in(home / "al.db") != states[0]
            tally.damaged += (file.exists() or former) and states_in(file) not in states
            seen = {path.name for path in home.glob("mine.*") if ".part" not in path.name}
            tally.otherwise += seen != {file.name} & seen
    return tally


def amid_a_restore(home: Path, weights: Path, first: int = 1, every: int = 1) -> Tally:
    """``restore`` is killed, over a database that a killed server left: there is the former one or
    the restored one, and whole; given again, the one before is kept beside it."""
    tally = Tally("a backup is restored")
    house = House(home, weights)
    number = house.start("mine", pictures(home.with_name("photos"), 0, "abcd"))
    house.store.close()
    file, database = home / "mine.backup", home / "al.db"
    assert al_core(home, "backup", file) == 0
    later = Store()
    later.rename_experiment(number, "later")
    left = home.with_name("left")
    shutil.copytree(home, left)  # with its WAL, as it is after a kill
    later.close()
    put_back(left, home)
    assert (home / "al.db-wal").stat().st_size
    states = [states_in(file), states_in(database)]
    put_back(left, home)
    for when in killed(home, "restore", file, first=first, every=every):
        tally.kills += 1
        tally.damaged += integrity(home) != "ok" or states_in(database) not in states
        tally.otherwise += al_core(home, "restore", file)
        tally.damaged += states_in(database) != states[0] or states_in(file) != states[0]
        kept = [states_in(path) for path in home.glob("al.db.*.backup")]
        tally.lost += states[1] not in kept
        al_core(home, "storage")  # as whoever opens the database
        if over := [path.name for path in home.rglob("*.part*")]:
            print(when, over)
            tally.otherwise += 1
    return tally


def states_in(file: Path) -> list[str]:
    """All that a database says; one line says that it is damaged."""
    with suppress(sqlite3.Error), closing(opened(file)) as database:
        return [*database.iterdump()]
    return ["damaged"]
