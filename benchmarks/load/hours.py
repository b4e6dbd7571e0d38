"""Three hours at the desk, compressed: ``python -m benchmarks.load hours``.

A person who labels an image every 3 s hands in 180 batches of 20 in three hours. Here they take
minutes, with all that happens in between: rounds train, labels are looked at again, taken back, put
on a map; pages are reloaded and tabs change; now and then another experiment begins. After each
batch, once the round is trained, the memory of the server's process is noted.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from playwright.sync_api import Browser, Page, expect
from safetensors.torch import save_file
from torchvision.models import resnet18

from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.store import Store
from benchmarks.browser import heading, in_memory
from tests.servers import Server, chromium, serving

BATCH, BATCHES = 20, 15  # images in a batch, batches of an experiment
WHOLE = ExperimentConfig(
    data="digits",
    initial=20,
    per_round=BATCH,
    rounds=BATCHES,
    train=TrainConfig(epochs=1, min_steps=4),
)
SETTLED = 1.0  # seconds without work before memory is looked at
ANY_LABEL = re.compile(r"\d")
WAIT = 300_000  # milliseconds that a busy machine may take
MB = 1e6


class Memory(NamedTuple):
    """Of one process, in MB: what it holds in memory, what of that is no file, its data."""

    resident: float
    anonymous: float
    data: float


@click.command()
@click.option("--batches", default=180, show_default=True, help="180 are three hours.")
def hours(batches: int) -> None:
    """Three hours of one person's work: does the server's memory grow?"""
    heading(f"{batches} batches of {BATCH} digits")
    expect.set_options(timeout=WAIT)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder)
        with serving(home) as server:
            began = time.monotonic()
            day = Day(home, browser, server)
            noted = []
            for number in range(batches):
                day.label_a_batch(number)
                noted.append(memory(server.pid))
                click.echo(f"{number} {noted[-1]}", err=True)
            took = time.monotonic() - began
        print(f"{took / 60:.0f} minutes, {day.experiments} experiments\n")
        print("| memory of the server, MB | after a third | at the end | most | growth since "
              "then, kB a batch (95% interval) |\n|---|---|---|---|---|")  # fmt: skip
        third = batches // 3
        for name, values in zip(Memory._fields, np.array(noted).T, strict=True):
            slope, error = growth(values[third:])
            print(f"| {name} | {values[third]:.0f} | {values[-1]:.0f} | {values.max():.0f} "
                  f"| {1000 * slope:+.0f} ({1000 * (slope - error):+.0f} to "
                  f"{1000 * (slope + error):+.0f}) |")  # fmt: skip


def memory(pid: int) -> Memory:
    """What the kernel says of a process, once it has had a moment to settle."""
    time.sleep(SETTLED)
    return Memory(*(in_memory(name, pid) / MB for name in ("VmRSS", "RssAnon", "VmData")))


def growth(values: np.ndarray) -> tuple[float, float]:
    """The slope of a straight line through ``values``, a step, and half of its 95% interval."""
    if len(values) < 4:
        return float("nan"), float("nan")
    line, covariance = np.polyfit(np.arange(len(values)), values, 1, cov=True)
    return float(line[0]), float(1.96 * covariance[0, 0] ** 0.5)


class Day:
    """One person, one tab at a time, one experiment after another."""

    def __init__(self, home: Path, browser: Browser, server: Server) -> None:
        self.home, self.browser, self.server = home, browser, server
        self.store = Store(f"sqlite:///{home / 'al.db'}")
        self.dataset = finish(load("digits", cache_dir=home / "cache"))
        self.weights = home / "mine.safetensors"
        torch.manual_seed(0)
        tensors = resnet18(weights=None).state_dict()
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, self.weights)
        self.experiments = 0
        self.page: Page | None = None

    def label_a_batch(self, number: int) -> None:
        """Label, hand in, do what people do between two batches, and wait for the round."""
        place = number % BATCHES
        if place == 0:
            self._begin()
        page = self.page
        assert page is not None
        expect(page.get_by_role("heading", name=f"Round {place + 1}")).to_be_visible()
        expect(page.get_by_test_id("tile")).to_have_count(BATCH)
        expect(page.get_by_text(f"0 of {BATCH} labelled")).to_be_visible()
        for i in range(BATCH):
            page.keyboard.press(str((number + i) % 10))
            page.wait_for_timeout(30)
        page.keyboard.press("u")
        page.keyboard.press("7")
        expect(page.get_by_text(f"{BATCH} of {BATCH} saved")).to_be_visible()
        page.keyboard.press("Enter")
        self._trained(page, place + 2)
        if place < BATCHES - 1:  # the last one leaves no batch to come back to
            (self._review, self._compare, self._look, self._reload, self._new_tab)[number % 5](page)

    def _begin(self) -> None:
        """Another experiment, every second one with a linear head, in another tab."""
        self.experiments += 1
        model = ModelConfig(str(self.weights), head="linear")
        config = replace(WHOLE, model=model) if self.experiments % 2 == 0 else WHOLE
        name = f"number {self.experiments}"
        self.id = start_experiment(self.store, name, config, self.dataset)
        self._new_tab(self.page)

    def _trained(self, page: Page, rounds: int) -> None:
        """Wait until the page knows of so many rounds, and is drawn."""
        shown = f"{min(rounds, BATCHES)} of {BATCHES}"
        expect(page.get_by_text(shown, exact=True)).to_be_visible()
        page.wait_for_timeout(1000 * SETTLED)

    def _new_tab(self, old: Page | None) -> None:
        self.page = self.browser.new_page(viewport={"width": 1280, "height": 900})
        if old is not None:
            old.close()
        self.page.goto(f"{self.server.url}/?experiment={self.id}")

    def _reload(self, page: Page) -> None:
        page.reload()

    def _review(self, page: Page) -> None:
        """The most suspicious label is changed, and changed back."""
        page.get_by_text("Review", exact=True).click()
        expect(page.get_by_text("the most suspicious first")).to_be_visible()
        # Until then the grid of the batch is there, and would take the key.
        expect(page.get_by_test_id("tile").first).to_have_attribute("data-label", ANY_LABEL)
        page.keyboard.press("3")
        page.wait_for_timeout(300)
        page.keyboard.press("u")
        page.wait_for_timeout(300)
        self._back(page)

    def _compare(self, page: Page) -> None:
        page.get_by_text("Compare", exact=True).click()
        expect(page.locator("[data-testid=stVegaLiteChart]").first).to_be_visible()
        self._back(page)

    def _back(self, page: Page) -> None:
        page.get_by_text("Label", exact=True).click()

    def _look(self, page: Page) -> None:
        """Every tab of the results, and a new map."""
        for name in ("Classes", "Mistakes", "Rounds", "Training", "Map"):
            self._open(page, name)
        page.get_by_role("button", name="Draw").click()
        expect(page.get_by_text("only nearness has a meaning")).to_be_visible()
        self._open(page, "Accuracy")

    def _open(self, page: Page, name: str) -> None:
        tab = page.get_by_role("tab", name=name)
        expect(tab).to_have_count(1)
        tab.click()
        page.wait_for_timeout(500)
