"""What tests of the real page share: an experiment to begin with, and what a person does."""

import atexit
import functools
import re
import shutil
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, expect
from tabs import leave, tab
from tiny import encoded, shard

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.records import Batch, RoundRecord
from al_core.store.store import Store

A_ROUND = 25_000  # milliseconds a round may take on a busy machine
FOR_EVER = 100_000  # optimiser steps
FEW = "a few digits"  # a file of them, in the folder of the desk
POOL = 240  # how many there are to label; 60 more measure
QUICK = ExperimentConfig(
    data=FEW,
    initial=12,
    per_round=6,
    rounds=2,
    train=TrainConfig(epochs=1, min_steps=2),
    image_size=16,  # a quarter of the work
    random_baseline=False,
)
BY_HAND = replace(QUICK, initial=6, initial_labels="person")


def few_digits(home: Path) -> Path:
    """A file of 300 digits, 30 of each class, a fifth of which become test images."""
    path = home / "digits.parquet"
    if not path.exists():
        from sklearn.datasets import load_digits

        digits = load_digits()
        chosen = [i for digit in range(10) for i in (digits.target == digit).nonzero()[0][:30]]
        pictures = [Image.fromarray((digits.images[i] * 15.9).astype("uint8")) for i in chosen]
        rows = [
            {"bytes": encoded(picture), "path": f"{i:04}.png"} for i, picture in enumerate(pictures)
        ]
        names = [str(digit) for digit in range(10)]
        shard(path, [int(digits.target[i]) for i in chosen], names=names, rows=rows)
    return path


def read(home: Path, config: ExperimentConfig) -> tuple[ExperimentConfig, Dataset]:
    """The images of an experiment, and its settings with the place where they are."""
    if config.data == FEW:
        config = replace(config, data=str(few_digits(home)))
    size, cache = config.image_size, home / "cache"
    return config, finish(load(config.data, image_size=size, cache_dir=cache))


def prepared(home: Path, name: str = "quick", config: ExperimentConfig = QUICK) -> int:
    """An experiment in the log, as if somebody had started it with these settings."""
    found, dataset = read(home, config)
    return start_experiment(Store(f"sqlite:///{home / 'al.db'}"), name, found, dataset)


def first_round(config: ExperimentConfig) -> tuple[RoundRecord, Batch, Path]:
    """Round 0 of an experiment that the truth begins, the batch it chose, and what it left on disk:
    trained once, the same for all experiments whose settings differ in what comes later."""
    later = ("rounds", "label_while_training", "random_baseline")
    return _first_round(replace(config, **{name: getattr(QUICK, name) for name in later}))


@functools.cache
def _first_round(config: ExperimentConfig) -> tuple[RoundRecord, Batch, Path]:
    from al_core.loop.advance import advance
    from al_core.models.hardware import find_hardware

    home = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    number, store = prepared(home, config=config), Store(f"sqlite:///{home / 'al.db'}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AL_HOME", str(home))
        finish(advance(store, number, read(home, config)[1], find_hardware()))
        (record,), (batch,) = store.rounds(number), store.batches(number)
        return record, batch, store.folder(number)


def rows(home: Path, query: str) -> list[tuple]:
    with sqlite3.connect(home / "al.db") as database:
        return database.execute(query).fetchall()


def tiles(page: Page, count: int) -> Locator:
    found = page.get_by_test_id("tile")
    expect(found).to_have_count(count, timeout=A_ROUND)
    expect(found.first).to_be_visible()
    return found


def images(page: Page, count: int = 6) -> list[str]:
    # At once: a grid that goes may stand beside the one that comes for a moment.
    return tiles(page, count).evaluate_all("tiles => tiles.map(tile => tile.dataset.image)")


def batch(page: Page, title: str) -> None:
    """Wait for the batch of that title, and until the keyboard is on it."""
    expect(page.get_by_role("heading", name=title)).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("0 of 6 labelled")).to_be_visible()


def label_all(page: Page, count: int) -> list[str]:
    """Label a batch by keyboard, digits in turn, and wait until all of it is on disk."""
    tiles(page, count)
    typed = [str(i % 10) for i in range(count)]
    for key in typed:
        page.keyboard.press(key)
    expect(page.get_by_text(f"{count} of {count} saved")).to_be_visible(timeout=A_ROUND)
    return typed


def hand_in(page: Page) -> None:
    page.get_by_role("button", name="Hand in batch").click()


def label_in_both(pages: list[Page], of: str) -> list[str]:
    """Label and hand in a batch of six in each page, and wait for the round ``of``; the images that
    were asked about, of which none was twice."""
    asked = [image for page in pages for image in images(page)]
    assert len(set(asked)) == 6 * len(pages)
    for page in pages:
        label_all(page, 6)
        hand_in(page)
    for page in pages:
        expect(page.get_by_text(of, exact=True)).to_be_visible(timeout=A_ROUND)
    return asked


def toggle(page: Page, label: str) -> None:
    page.get_by_test_id("stCheckbox").filter(has_text=label).locator("label").click()


class Desk:
    """One server for all tests of this file; each has experiments of its own."""

    def __init__(self, browser: BrowserContext, url: str, home: Path) -> None:
        self.home = home
        self.store = Store(f"sqlite:///{home / 'al.db'}")
        self._browser, self._url = browser, url
        self._pages: list[Page] = []

    def start(self, config: ExperimentConfig = QUICK, name: str = "") -> int:
        name = name or f"quick {len(self.store.experiments())}"
        return prepared(self.home, name, config)

    def start_trained(self, config: ExperimentConfig = QUICK) -> int:
        """An experiment whose first round is over; its first batch waits."""
        number = self.start(config)
        record, batch, folder = first_round(config)
        shutil.copytree(folder, self.home / "weights" / str(number))
        self.store.add_round(number, record, batch, place=0)
        return number

    def open(self, experiment: int | None = None, more: str = "") -> Page:
        """Another tab on an experiment, or on the form for a new one."""
        page = tab(self._browser)
        page.goto(f"{self._url}/?{f'experiment={experiment}' if experiment else ''}{more}")
        self._pages.append(page)
        return page

    def close(self) -> None:
        while self._pages:
            leave(self._pages.pop())
        self._browser.clear_cookies()

    def sessions(self) -> int:
        """How many tabs the server knows of: it hears a moment later that one was closed."""
        with urlopen(f"{self._url}/_stcore/metrics?families=active_sessions") as answer:
            (count,) = re.findall(r"^active_sessions(?:{.*})? (\d+)", answer.read().decode(), re.M)
        return int(count)

    def set_steps(self, experiment: int, steps: int) -> None:
        """Let the next training take that many steps."""
        train = self.store.experiment(experiment).config["train"] | {"min_steps": steps}
        self.store.change_config(experiment, {"train": train})

    def rows(self, experiment: int, columns: str, table: str) -> list[tuple]:
        query = f"SELECT {columns} FROM {table} WHERE experiment_id = {experiment} ORDER BY id"
        return rows(self.home, query)
