"""Tabs over two servers on one PostgreSQL: ``python -m benchmarks.load servers``.

As ``tabs``, with the same folder for both servers, one of which trains. For the digits at most 80
labels a tab. With ``--kill`` the server that trains is killed half way, and as many new tabs of the
other go on with its batches. Needs PostgreSQL's programs.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from playwright.sync_api import Page, expect

from al_core.store.records import Annotation
from al_core.store.store import Store
from benchmarks.browser import class_on, heading, report
from benchmarks.desk import of_source, prepare
from benchmarks.load.tabs import TRAINS, WAIT, begin_training, images, open_tab, type_in_turn
from tests.postgres import installed, running
from tests.servers import Server, chromium, free_port, serving


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--tabs", default=10, show_default=True)
@click.option("--each", default=100, show_default=True, help="Labels of each tab.")
@click.option("--pause", default=1.0, show_default=True, help="Seconds between two keys of a tab.")
@click.option("--kill", is_flag=True, help="Kill the server that trains when half is labelled.")
def servers(data: str, tabs: int, each: int, pause: float, kill: bool) -> None:
    """Ten tabs over two servers on PostgreSQL: is every label there, once, and how soon?"""
    programs = installed()
    if programs is None:
        raise click.ClickException("no PostgreSQL found: apt-get install postgresql")
    heading(f"{data}, {tabs} tabs over 2 servers, {each} labels each, one in {pause:g} s")
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        running(programs, free_port()) as postgres,
    ):
        os.environ["AL_HOME"] = folder
        os.environ["AL_DATABASE_URL"] = postgres.database()
        experiment = prepare(of_source(data, each))
        store = Store()
        with serving(Path(folder)) as one, serving(Path(folder)) as other:

            def opened(server: Server) -> Page:
                return open_tab(browser, f"{server.url}/?experiment={experiment}", each)

            begin_training(opened(one), each)
            pages = [opened((one, other)[i % 2]) for i in range(tabs)]
            asked = [images(page) for page in pages]
            before = len(store.annotations(experiment))
            half = each // 2 if kill else each
            took = type_in_turn(pages, 0, half, pause)
            saved = [page.evaluate("desk.saved") for page in pages]
            if kill:
                os.kill(one.pid, signal.SIGKILL)
                began = time.perf_counter()
                heirs = [open_tab(browser, f"{other.url}/?experiment={experiment}", each, half)
                         for _ in pages[::2]]  # fmt: skip
                freed = time.perf_counter() - began
                inherited = {frozenset(images(page)) for page in heirs}
                if inherited != set(map(frozenset, asked[::2])):
                    raise click.ClickException(
                        "batches of the server that was killed were not free"
                    )
                pages = [*heirs, *pages[1::2]]
                took += type_in_turn(pages, half, each, pause)
                expect(pages[-1].get_by_text(TRAINS)).to_be_visible(timeout=WAIT)
                print(
                    f"The server that trains was killed. As many new tabs of the other went on "
                    f"with its batches, opened one after the other in {freed:.1f} s.\n"
                )
            rows = store.annotations(experiment)[before:]
            print("| what | where | n | median | 99% | worst |\n|---|---|---|---|---|---|")
            for name, mine in (("the one that trains", saved[::2]), ("the other", saved[1::2])):
                report("key to saved, ms", name, np.concatenate(mine).tolist())
            print(f"\n{tabs * each:,} keys in {took:.0f} s: {tally(asked, rows, each, data)}")
            if len(store.rounds(experiment)) != 1:
                raise click.ClickException("the round ended, or was trained twice")


def tally(asked: list[list[int]], rows: list[Annotation], each: int, data: str) -> str:
    """What was typed, compared with the rows, image by image."""
    typed = {
        image: class_on(place % 10, data) for seen in asked for place, image in enumerate(seen)
    }
    there = {row.image: row.label for row in rows}
    wrong = sum(typed.get(image) != label for image, label in there.items())
    return (
        f"{len(rows):,} rows, {len(rows) - len(there):,} twice, "
        f"{len(typed.keys() - there.keys()):,} lost, {wrong:,} with another label than was typed; "
        f"{len(asked) * each - len(typed):,} images were asked about twice."
    )
