"""The desk in Chromium, timed: ``python -m benchmarks.desk --data PATH_TO_CIFAR10``.

Drives the real page: batches of 100 images, 5,000 labels in the log, once while nothing else runs
and once while a round trains on the same cores; another tab redraws its page each second. Prints
one table. Needs requirements-dev.txt and a Chromium.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from playwright.sync_api import Browser, Page, expect

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.store.store import Store
from benchmarks.browser import CLOCK, WATCH_SAVED, class_on, heading, report
from tests.servers import chromium, serving

TIMED = Path(__file__).with_name("timed_app.py")
BATCH = 100
KEY_PAUSE = 0.15  # seconds between two keys of a person who types
# Streamlit runs the whole page anew.
REDRAW = """() => setInterval(() => document.body.dispatchEvent(
    new KeyboardEvent("keydown", {key: "r", code: "KeyR", keyCode: 82, bubbles: true})), 1000)"""

# The first moment at which a grid of other images than before has drawn its pictures, or those of
# them that are in view.
WATCH_READY = """([old, inView]) => {
    window.ready = null;
    const wanted = (tile) => !inView || tile.getBoundingClientRect().top < innerHeight;
    const look = () => {
        for (const host of document.querySelectorAll("*")) {
            const grid = host.shadowRoot?.querySelector("[data-testid=label-grid]:not([hidden])");
            const tiles = grid?.querySelectorAll("[data-testid=tile]") ?? [];
            if (!tiles.length || tiles[0].dataset.image === old) continue;
            if ([...tiles].filter(wanted).every((tile) => tile.querySelector("img").naturalWidth)) {
                window.ready = {count: tiles.length, at: Date.now()};
                return;
            }
        }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
TYPE_SIXTY = """() => {
    let typed = 0;
    const timer = setInterval(() => {
        const key = String(typed % 10);
        const init = {key, code: "Digit" + key, bubbles: true, composed: true};
        document.body.dispatchEvent(new KeyboardEvent("keydown", init));
        if (++typed === 60) clearInterval(timer);
    }, 8);
}"""


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--tries", default=20, show_default=True, help="Of sixty labels in half a second.")
@click.option("--batches", default=100, show_default=True, help="Batches that are handed out.")
@click.option("--typed", default=3, show_default=True, help="Batches typed key by key.")
def main(data: str, tries: int, batches: int, typed: int) -> None:
    """Print what a key, a batch and a burst of labels take."""
    heading(data)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder)
        os.environ["AL_HOME"] = str(home)
        experiment = prepare(of_source(data))
        with serving(home, TIMED) as server:
            desk = Desk(home, browser, f"{server.url}/?experiment={experiment}")
            desk.open_another()
            batches = min(
                batches, desk.rounds(experiment) - 2 * typed - 4
            )  # a small pool has fewer
            print("| what | where | n | median | 99% | worst |\n|---|---|---|---|---|---|")
            desk.keys("nothing else runs", typed)
            desk.start_training()
            desk.keys("a round trains", typed)
            desk.batches("a round trains", batches // 2)
            desk.cancel_training()
            desk.batches("nothing else runs", batches - batches // 2)
            desk.bursts(tries, 1, data)
            desk.bursts(tries, 2, data)


def of_source(data: str, per_round: int = BATCH) -> ExperimentConfig:
    """The settings of the experiment that is measured."""
    return ExperimentConfig(data=data, initial=500, per_round=per_round)


def prepare(config: ExperimentConfig) -> int:
    """An experiment after its first round, with 5,000 annotations in the log; the next one does not
    end. It has as many rounds as there are images."""
    from al_core.loop.advance import advance
    from al_core.models.hardware import find_hardware

    store = Store()
    home = Path(os.environ["AL_HOME"])
    dataset = finish(load(config.data, image_size=config.image_size, cache_dir=home / "cache"))
    rounds = (len(dataset.train) - config.initial) // config.per_round
    config = replace(config, rounds=rounds, train=TrainConfig(epochs=1, min_steps=4))
    experiment = start_experiment(store, "desk", config, dataset)
    images = open_experiment(store, experiment).pool.labeled.tolist()
    store.append(experiment, [
        Annotation(i, int(dataset.train.targets[i]), 0, "somebody")
        for i in images * (4_500 // config.initial)
    ])  # fmt: skip
    finish(advance(store, experiment, dataset, find_hardware()))
    opened = open_experiment(store, experiment)
    endless = replace(opened.config, train=TrainConfig(epochs=1, min_steps=1_000_000))
    store.change_config(experiment, endless.to_json())
    return experiment


class Desk:
    """One page on one experiment, and what is measured there."""

    def __init__(self, home: Path, browser: Browser, address: str, in_view: bool = False) -> None:
        self.home, self.browser, self.address, self.in_view = home, browser, address, in_view
        self.labels: set[str] = set()  # requests
        self.bodies: dict[str, int] = {}  # bytes of a request and its answer
        self.heads: dict[str, int] = {}
        self.page = self.open()
        session = self.page.context.new_cdp_session(self.page)
        session.send("Network.enable")

        def sent(event: dict) -> None:
            body = event["request"].get("postData", "")
            if event["request"]["url"].endswith("/labels") and '"events":[[' in body:
                self.labels.add(event["requestId"])
                count(event, self.bodies, len(body))

        def count(event: dict, sizes: dict[str, int], size: int) -> None:
            sizes[event["requestId"]] = sizes.get(event["requestId"], 0) + size

        session.on("Network.requestWillBeSent", sent)
        session.on(
            "Network.requestWillBeSentExtraInfo",
            lambda e: count(
                e,
                self.heads,
                sum(len(name) + len(value) + 4 for name, value in e["headers"].items()),
            ),
        )
        session.on("Network.dataReceived", lambda e: count(e, self.bodies, e["dataLength"]))
        session.on(
            "Network.responseReceivedExtraInfo",
            lambda e: count(e, self.heads, len(e["headersText"])),
        )

    def open(self) -> Page:
        page = self.browser.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(CLOCK)
        page.goto(self.address)
        expect(page.get_by_test_id("tile").first).to_be_visible(timeout=120_000)
        page.wait_for_timeout(4000)  # torch is imported meanwhile
        return page

    def open_another(self) -> None:
        """Somebody else has the results of the experiment open."""
        page = self.browser.new_page()
        page.goto(f"{self.address}&view=Compare")
        shown = page.get_by_role("combobox", name="Experiments and simulations")
        expect(shown).to_be_visible(timeout=120_000)
        page.evaluate(REDRAW)

    def rounds(self, experiment: int) -> int:
        return open_experiment(Store(), experiment).config.rounds

    def keys(self, where: str, batches: int = 1) -> None:
        """Label whole batches at a person's pace."""
        page = self.page
        log = self.home / "times.txt"
        log.write_text("")
        self.labels.clear()
        echoes, saved = [], []
        for batch in range(batches):
            if batch:
                self.next_batch()
            page.get_by_test_id("label-grid").evaluate(WATCH_SAVED)
            for i in range(BATCH):
                page.keyboard.press(str(i % 10))
                page.wait_for_timeout(1000 * KEY_PAUSE)
            page.wait_for_function(f"desk.saved.length === {BATCH}")
            echoes += page.evaluate("desk.echoes")
            saved += page.evaluate("desk.saved")
        report("key to its echo, ms", where, echoes)
        report("key to its answer from the disk, ms", where, saved)
        answers = [line.split() for line in log.read_text().splitlines()]
        report("server per label, ms by the clock", where, [float(clock) for clock, _ in answers])
        report("server per label, ms of its own", where, [float(own) for _, own in answers])
        for what, sizes in (("bodies", self.bodies), ("headers", self.heads)):
            size = sum(sizes.get(one, 0) for one in self.labels) / len(self.labels)
            print(f"| bytes a label, {what} both ways | {where} | {len(self.labels)} | "
                  f"{size:,.0f} (mean) | | |", flush=True)  # fmt: skip

    def start_training(self) -> None:
        """Hand in: a round trains from now on, and the next batch is there."""
        self.next_batch()
        expect(self.page.get_by_text(re.compile("Training: .* left"))).to_be_visible(
            timeout=120_000
        )

    def cancel_training(self) -> None:
        self.page.get_by_role("button", name="Cancel").click()
        expect(self.page.get_by_text("Training was cancelled")).to_be_visible(timeout=60_000)

    def next_batch(self) -> float:
        """Hand in; milliseconds from the choice of the next batch to its tiles."""
        page = self.page
        before = page.get_by_test_id("tile").first.get_attribute("data-image")
        page.evaluate(WATCH_READY, [before, self.in_view])
        page.keyboard.press("Enter")
        page.wait_for_function("window.ready !== null", timeout=60_000)
        with sqlite3.connect(self.home / "al.db") as database:
            (made,) = database.execute("SELECT max(created_at) FROM batches").fetchone()
        chosen = datetime.fromisoformat(made).replace(tzinfo=UTC).timestamp()
        ready = page.evaluate("window.ready")
        assert ready["count"] == BATCH, ready
        return float(ready["at"] - 1000 * chosen)

    def batches(self, where: str, count: int, before: Callable[[], None] = lambda: None) -> None:
        """Label batches whole and hand them in, again and again, after doing ``before``."""
        took = []
        for _ in range(count):
            before()
            self.page.keyboard.press("Control+a")
            self.page.keyboard.press("1")
            expect(self.page.get_by_text(f"{BATCH} of {BATCH} saved")).to_be_visible(timeout=60_000)
            took.append(self.next_batch())
        report("batch of 100 chosen to ready, ms", where, took)

    def bursts(self, tries: int, tabs: int, data: str) -> None:
        """Sixty labels in half a second, in each of so many tabs at once."""
        whole = 0
        pages = [self.page] + [self.open() for _ in range(tabs - 1)]
        with sqlite3.connect(self.home / "al.db") as database:
            for _ in range(tries):
                for page in pages:
                    page.keyboard.press("Control+a")
                    page.keyboard.press("Backspace")
                    page.keyboard.press("Escape")
                    page.keyboard.press("Home")
                    expect(page.get_by_text(f"0 of {BATCH} saved", exact=True)).to_be_visible()
                (last,) = database.execute("SELECT max(id) FROM annotations").fetchone()
                for page in pages:
                    page.evaluate(TYPE_SIXTY)
                for page in pages:
                    expect(page.get_by_text(f"60 of {BATCH} saved")).to_be_visible(timeout=20_000)
                rows = database.execute(
                    "SELECT event, label FROM annotations WHERE id > ? ORDER BY id", (last,)
                ).fetchall()
                of_tab: dict[str, list[int]] = {}
                for event, label in rows:
                    of_tab.setdefault(event.partition(":")[0], []).append(label)
                typed = [class_on(i % 10, data) for i in range(60)]
                whole += list(of_tab.values()) == [typed] * tabs
        print(f"| 60 labels in half a second, in order | {tabs} tabs at once | {tries} | "
              f"{whole} of {tries} whole | | |")  # fmt: skip


if __name__ == "__main__":
    main()
