"""Labels a second into the log, and bytes of each: ``python -m benchmarks.writes``.

Each label is a transaction of its own, as the desk writes it: by one writer, and by eight at once,
each a process, into one experiment or into one each. Needs PostgreSQL's programs.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import click
import numpy as np

from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.store.store import Store
from benchmarks.browser import heading
from tests.postgres import Postgres, installed, running
from tests.servers import free_port

WRITERS = 8
READY = 10  # seconds until all have started


@click.command()
@click.option("--seconds", default=5.0, show_default=True)
@click.option("--writer", nargs=4, type=(str, int, int, float), hidden=True)
def main(seconds: float, writer: tuple[str, int, int, float] | None) -> None:
    """Print how many labels a second the two databases take."""
    if writer is not None:
        print(*write(*writer, seconds))
        return
    programs = installed()
    if programs is None:
        raise click.ClickException("no PostgreSQL found: apt-get install postgresql")
    with (
        tempfile.TemporaryDirectory() as folder,
        running(programs, free_port()) as postgres,
    ):
        os.environ["AL_HOME"] = folder
        heading(f"labels written for {seconds:g} s")
        print(
            "| database | writers | labels a second | one takes, ms: median | 99% | bytes a row |"
        )
        print("|---|---|---|---|---|---|")
        measure("SQLite", f"sqlite:///{Path(folder) / 'al.db'}", seconds, None)
        measure("PostgreSQL", postgres.database(), seconds, postgres)


def measure(name: str, address: str, seconds: float, postgres: Postgres | None) -> None:
    store = Store(address)
    dataset = finish(load("digits", cache_dir=Path(os.environ["AL_HOME"]) / "cache"))
    config = ExperimentConfig(data="digits", class_names=tuple("0123456789"), initial=10, rounds=1)
    numbers = [start_experiment(store, f"{i}", config, dataset) for i in range(WRITERS)]
    for label, where in (
        ("1", numbers[:1]),
        (f"{WRITERS}, one experiment", numbers[:1] * WRITERS),
        (f"{WRITERS}, one each", numbers),
    ):
        before, count = size(address, postgres), rows(store, numbers)
        each = [str(i) for i in range(len(where))]
        start = str(time.time() + READY)
        commands = [[sys.executable, "-m", "benchmarks.writes", "--seconds", str(seconds),
                     "--writer", address, str(number), i, start]
                    for number, i in zip(where, each, strict=True)]  # fmt: skip
        running = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
        took = np.concatenate([np.array(p.communicate()[0].split(), float) for p in running])
        if any(p.returncode for p in running):
            raise click.ClickException("a writer has failed")
        there = rows(store, numbers) - count
        if there != len(took):
            raise click.ClickException(f"{len(took):,} labels were written, {there:,} are there")
        grown = (size(address, postgres) - before) / there
        median, tail = np.percentile(took * 1000, [50, 99])
        print(f"| {name} | {label} | {len(took) / seconds:,.0f} | {median:.2f} | {tail:.2f} | "
              f"{grown:,.0f} |", flush=True)  # fmt: skip
    store.close()


def rows(store: Store, numbers: list[int]) -> int:
    return sum(len(store.annotations(number)) for number in numbers)


def size(address: str, postgres: Postgres | None) -> int:
    """Bytes of a database, with its indices."""
    if postgres is None:
        path = Path(address.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.stat().st_size
    with postgres.connect() as connection:
        name = address.rpartition("/")[2]
        (found,) = connection.execute("SELECT pg_database_size(%s)", [name]).fetchone()
        return int(found)


def write(address: str, experiment: int, writer: int, start: float, seconds: float) -> list[float]:
    """Write labels, one after the other, from ``start`` on; what each took, in seconds."""
    store, took = Store(address), []
    store.annotations(experiment)  # the connection is there
    if time.time() > start:
        raise click.ClickException("not all writers were ready in time")
    time.sleep(start - time.time())
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        label = Annotation(len(took), len(took) % 10, 0, "me", key=f"images/{len(took):09d}.jpg",
                           event=f"{writer}-{time.time_ns()}", milliseconds=700)  # fmt: skip
        store.append(experiment, [label])
        took.append(time.perf_counter() - began)
    return took


if __name__ == "__main__":
    main()
