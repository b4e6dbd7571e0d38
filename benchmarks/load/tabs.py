"""Eight tabs label one experiment: ``python -m benchmarks.load tabs --data PATH_TO_CIFAR10``.

Real keys in eight pages of one Chromium, in turn, while a round trains all the time; each page has
a batch of its own. What was typed is compared with the rows of the database, image by image.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from playwright.sync_api import Browser, Page, expect

from benchmarks.browser import CLOCK, WATCH_SAVED, class_on, heading, report
from benchmarks.desk import of_source, prepare
from tests.servers import chromium, serving

TRAINS = re.compile("Training: .* left")
WAIT = 120_000  # milliseconds


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--tabs", default=8, show_default=True)
@click.option("--each", default=200, show_default=True, help="Labels; for the digits at most 100.")
@click.option("--pause", default=1.0, show_default=True, help="Seconds between two keys of a tab.")
@click.option("--idle", is_flag=True, help="While nothing trains.")
def tabs(data: str, tabs: int, each: int, pause: float, idle: bool) -> None:
    """Eight tabs label at once: is every label there, once, and how soon?"""
    heading(f"{data}, {tabs} tabs, {each} labels each, one in {pause:g} s, "
            f"while {'nothing else runs' if idle else 'a round trains'}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder)
        os.environ["AL_HOME"] = folder
        experiment = prepare(of_source(data, each))
        with serving(home) as server:
            address = f"{server.url}/?experiment={experiment}"
            if not idle:
                begin_training(open_tab(browser, address, each), each)
            pages = [open_tab(browser, address, each) for _ in range(tabs)]
            asked = [images(page) for page in pages]
            with sqlite3.connect(home / "al.db") as database:
                (last,) = database.execute("SELECT max(id) FROM annotations").fetchone()
                took = type_in_turn(pages, 0, each, pause)
                expect(pages[0].get_by_text(TRAINS)).to_have_count(0 if idle else 1)
                query = "SELECT image, label FROM annotations WHERE id > ?"
                rows = database.execute(query, (last,)).fetchall()
            saved = [page.evaluate("desk.saved") for page in pages]
        print("| what | where | n | median | 99% | worst |\n|---|---|---|---|---|---|")
        report("key to saved, ms", f"{tabs} tabs", np.concatenate(saved).tolist())
        worst = max(saved, key=lambda values: np.percentile(values, 99))
        report("key to saved, ms", "the slowest of them", worst)
        typed = {i: class_on(place % 10, data) for seen in asked for place, i in enumerate(seen)}
        twice, lost = len(rows) - len(dict(rows)), len(typed.keys() - dict(rows).keys())
        wrong = sum(typed.get(image) != label for image, label in rows)
        print(f"\n{tabs * each:,} keys in {took:.0f} s: {len(rows):,} rows, {twice:,} twice, "
              f"{lost:,} lost, {wrong:,} with another label than was typed; "
              f"{tabs * each - len(typed):,} images were asked about twice.")  # fmt: skip


def open_tab(browser: Browser, address: str, each: int, labelled: int = 0) -> Page:
    """A tab on a batch of so many images, some of which are labelled."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(CLOCK)
    page.goto(address)
    expect(page.get_by_test_id("tile")).to_have_count(each, timeout=WAIT)
    progress = re.compile(f"^{labelled} of {each} labelled")
    expect(page.get_by_text(progress)).to_be_visible(timeout=WAIT)
    return page


def begin_training(page: Page, each: int) -> None:
    """Hand in one batch: the round after it trains from now on."""
    page.keyboard.press("Control+a")
    page.keyboard.press("1")
    expect(page.get_by_text(f"{each} of {each} saved")).to_be_visible(timeout=WAIT)
    page.keyboard.press("Enter")
    expect(page.get_by_text(TRAINS)).to_be_visible(timeout=WAIT)
    page.close()


def images(page: Page) -> list[int]:
    """What a page asks about, in order."""
    shown = "tiles => tiles.map(tile => Number(tile.dataset.image))"
    return page.get_by_test_id("tile").evaluate_all(shown)


def type_in_turn(pages: list[Page], first: int, last: int, pause: float) -> float:
    """Label the images from ``first`` to ``last`` of each page, one key in each, again and again;
    seconds until all of it is said to be saved."""
    for page in pages:
        page.get_by_test_id("label-grid").evaluate(WATCH_SAVED)
    began = time.perf_counter()
    for number in range((last - first) * len(pages)):
        page, place = pages[number % len(pages)], first + number // len(pages)
        page.keyboard.press(str(place % 10))
        due = began + (number + 1) * pause / len(pages)
        time.sleep(max(0.0, due - time.perf_counter()))
    for page in pages:
        page.wait_for_function(f"desk.saved.length === {last - first}", timeout=WAIT)
    return time.perf_counter() - began
