"""How soon the page is there: ``python -m benchmarks.start --data PATH_TO_CIFAR10``.

A new server each time, and the first page anybody opens on it; the images are in the cache, the
experiment has been opened before. Needs requirements-dev.txt and a Chromium.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from playwright.sync_api import Browser, expect

from benchmarks.browser import heading
from benchmarks.desk import of_source, prepare
from tests.servers import chromium, serving

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def started(home: Path, browser: Browser, experiment: int | None) -> dict[str, float]:
    """Seconds until the server answers, and from the opening of its address on."""
    began = time.perf_counter()
    with serving(home) as server:
        took = {"server answers, after its start": time.perf_counter() - began}
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        opened = time.perf_counter()
        page.goto(server.url if experiment is None else f"{server.url}/?experiment={experiment}")
        title = "Active-learning desk" if experiment is None else "desk"
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible(timeout=60_000)
        took["the page's title, after the address was opened"] = time.perf_counter() - opened
        if experiment is not None:
            expect(page.get_by_test_id("tile")).to_have_count(100, timeout=60_000)
            took["a batch of 100, after the address was opened"] = time.perf_counter() - opened
        took["first contentful paint, by Chromium"] = page.evaluate(FIRST_PAINT)
        page.close()
    return took


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--repeat", default=5, show_default=True)
def main(data: str, repeat: int) -> None:
    """Print medians and worst, in seconds."""
    heading(f"{data}, median of {repeat} (worst)")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        os.environ["AL_HOME"] = folder
        experiment = prepare(of_source(data))
        print("| page | what | seconds |\n|---|---|---|")
        for name, number in (("welcome", None), ("a reopened experiment", experiment)):
            started(Path(folder), browser, number)  # opened before
            runs = [started(Path(folder), browser, number) for _ in range(repeat)]
            for what in runs[0]:
                seconds = [run[what] for run in runs]
                print(f"| {name} | {what} | {np.median(seconds):.2f} ({max(seconds):.2f}) |")


if __name__ == "__main__":
    main()
