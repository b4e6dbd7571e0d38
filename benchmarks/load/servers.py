"""Tabs over two servers on one PostgreSQL: ``python -m benchmarks.load servers``.

As ``tabs``, with the same folder for both servers, one of which trains. For the digits at most 80
labels a tab. Needs PostgreSQL's programs.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click
import numpy as np
from playwright.sync_api import Page

from al_core.pool import Annotation
from al_core.store import Store
from benchmarks.browser import Server, chromium, free_port, heading, report, serving
from benchmarks.desk import prepare
from benchmarks.load.tabs import begin_training, images, open_tab, type_in_turn
from benchmarks.postgres import installed, running


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--tabs", default=10, show_default=True)
@click.option("--each", default=100, show_default=True, help="Labels of each tab.")
@click.option("--pause", default=1.0, show_default=True, help="Seconds between two keys of a tab.")
def servers(data: str, tabs: int, each: int, pause: float) -> None:
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
        experiment = prepare(data, each)
        store = Store()
        with serving(Path(folder)) as one, serving(Path(folder)) as other:

            def opened(server: Server) -> Page:
                return open_tab(browser, f"{server.url}/?experiment={experiment}", each)

            begin_training(opened(one), each)
            pages = [opened((one, other)[i % 2]) for i in range(tabs)]
            asked = [images(page) for page in pages]
            before = len(store.annotations(experiment))
            took = type_in_turn(pages, each, pause)
            saved = [page.evaluate("desk.saved") for page in pages]
            rows = store.annotations(experiment)[before:]
            print("| what | where | n | median | 99% | worst |\n|---|---|---|---|---|---|")
            for name, mine in (("the one that trains", saved[::2]), ("the other", saved[1::2])):
                report("key to saved, ms", name, np.concatenate(mine).tolist())
            print(f"\n{tabs * each:,} keys in {took:.0f} s: {tally(asked, rows, each)}")
            if len(store.rounds(experiment)) != 1:
                raise click.ClickException("the round ended, or was trained twice")


def tally(asked: list[list[int]], rows: list[Annotation], each: int) -> str:
    """What was typed, compared with the rows, image by image."""
    typed = {image: place % 10 for seen in asked for place, image in enumerate(seen)}
    there = {row.image: row.label for row in rows}
    wrong = sum(typed.get(image) != label for image, label in there.items())
    return (
        f"{len(rows):,} rows, {len(rows) - len(there):,} twice, "
        f"{len(typed.keys() - there.keys()):,} lost, {wrong:,} with another label than was typed; "
        f"{len(asked) * each - len(typed):,} images were asked about twice."
    )
