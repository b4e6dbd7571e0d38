"""The server is killed while somebody labels in the real page, while rounds train, and while a
folder changes: once in the tests, more often in ``python -m benchmarks.faults``."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from safetensors.numpy import load_file

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.pictures.digests import digest_of_file
from al_core.progress import finish
from al_core.store.records import HERE, Annotation
from al_core.store.store import Store
from tests.servers import Server, free_port, serving

IMAGES = 60  # of the one batch that is typed at, for each kill; at most 400
KEYS_A_SECOND = 12
BY_HAND = ExperimentConfig(
    data="digits",
    initial=12,
    initial_labels="person",
    per_round=6,
    rounds=100,
    train=TrainConfig(epochs=1, min_steps=8),
    image_size=16,
    label_while_training=False,  # the next batch would depend on when a round was over
    random_baseline=False,
)


@dataclass
class Tally:
    """What one scenario tried and found; all but the first two ought to be 0."""

    what: str
    kills: int = 0
    lost: int = 0
    twice: int = 0
    damaged: int = 0
    otherwise: int = 0

    def __str__(self) -> str:
        return (
            f"| {self.what} | {self.kills} | {self.lost} | {self.twice} | {self.damaged} | "
            f"{self.otherwise} |"
        )


def while_typing(browser: Browser, home: Path, kills: int, rng: random.Random) -> Tally:
    """Labels are typed, the server is killed and comes back, and the page goes on."""
    tally = Tally("labels are typed into the page")
    count = min(IMAGES * kills, 400)
    experiment = start(home, replace(BY_HAND, initial=count))
    page, port, typed = browser.new_page(), free_port(), 0
    for _ in range(kills):
        with serving(home, port=port) as server:
            visit(page, port, experiment, typed == 0)
            deadline = time.monotonic() + rng.uniform(0.2, 2)
            expect(page.get_by_text(f"{typed} of {count} saved")).to_be_visible(timeout=60_000)
            while time.monotonic() < deadline and typed < count:
                page.keyboard.press(str(typed % 10))
                typed += 1
                time.sleep(rng.expovariate(KEYS_A_SECOND))
            kill(server)
        shown = int(page.locator(".saved").inner_text().split()[0])
        images = [
            int(tile.get_attribute("data-image")) for tile in page.get_by_test_id("tile").all()
        ]
        answers = open_experiment(Store(url(home)), experiment).pool.answers
        tally.lost += sum(i not in answers or answers[i].label != place % 10
                          for place, i in enumerate(images[:shown]))  # fmt: skip
        tally.kills += 1
        tally.damaged += integrity(home) != "ok"
    with serving(home, port=port):
        expect(page.get_by_text(f"{typed} of {count} saved")).to_be_visible(timeout=60_000)
        page.reload()
        expect(page.get_by_text(f"{typed} of {count} saved")).to_be_visible(timeout=60_000)
    said = [a.label for a in open_experiment(Store(url(home)), experiment).annotations]
    tally.twice = len(said) - typed
    tally.otherwise = sum(
        a != b for a, b in zip(said, (i % 10 for i in range(typed)), strict=False)
    )
    page.close()
    return tally


def while_training(browser: Browser, home: Path, kills: int, rng: random.Random) -> Tally:
    """A batch is handed in and the server killed while its round trains; then it trains again."""
    tally = Tally("a round trains, is saved, chooses")
    experiment = start(home, BY_HAND)
    page, port = browser.new_page(), free_port()
    for number in range(kills):
        with serving(home, port=port) as server:
            visit(page, port, experiment, number == 0)
            count = BY_HAND.per_round if number else BY_HAND.initial
            label(page, count)
            page.keyboard.press("Enter")
            time.sleep(rng.uniform(0, 3))
            kill(server)
        tally.kills += 1
        tally.damaged += integrity(home) != "ok"
        tally.damaged += sum(not readable(path) for path in home.rglob("*.safetensors"))
        opened = open_experiment(Store(url(home)), experiment)
        handed_in = {batch.round for batch in opened.batches if batch.handed_in_at}
        tally.lost += opened.pool.answers.keys() != {
            i for batch in opened.batches if batch.round <= number for i in batch.images
        }
        # The round is in the log with the batch it chose, or neither is.
        tally.otherwise += len(opened.rounds) + 1 != len(opened.batches)
        tally.otherwise += len(opened.rounds) not in (number, number + (number in handed_in))
        tally.twice += len(opened.annotations) != len(opened.pool.answers)
        with serving(home, port=port):
            until_asked(page, number + 1, count)
    page.close()
    mine = open_experiment(Store(url(home)), experiment)
    tally.otherwise += outcome(mine) != outcome(undisturbed(home / "undisturbed", mine.next_round))
    return tally


def while_changing(browser: Browser, home: Path, kills: int, rng: random.Random) -> Tally:
    """Files come, go, move and swap their names, and the server is killed while it finds out."""
    tally = Tally("the images of a folder change")
    folder, count = home / "pictures", 200
    for i in range(count):
        draw(folder / f"{i}.png", i)
    settings = replace(
        BY_HAND, data=str(folder), class_names=("cat", "dog"), rounds=2, random_baseline=False
    )
    number, store = start(home, settings), Store(url(home))
    pool = open_experiment(store, number).manifest.pool
    labelled = {row.position: row.digest for row in pool[:50]}
    store.append(number, [Annotation(i, i % 2, 0, "me", key=pool[i].key) for i in labelled])
    page, port = browser.new_page(), free_port()
    for _ in range(kills):
        count = shuffle(folder, count, rng)
        with serving(home, port=port) as server:
            page.goto(f"http://127.0.0.1:{port}/?experiment={number}", wait_until="commit")
            time.sleep(rng.uniform(0.2, 3))
            kill(server)
        tally.kills += 1
        tally.damaged += integrity(home) != "ok"
    with serving(home, port=port):
        page.goto(f"http://127.0.0.1:{port}/?experiment={number}")
        look = page.get_by_role("button", name="Look for new images")
        expect(look).to_be_visible(timeout=60_000)
    page.close()
    experiment = open_experiment(store, number)
    pool = experiment.manifest.pool
    tally.lost = len(labelled.keys() - experiment.pool.answers.keys())
    tally.twice = len(experiment.annotations) - len(labelled)
    # Each label still belongs to the picture it was given to, and each file to one position.
    tally.otherwise += sum(pool[i].digest != digest for i, digest in labelled.items())
    here = {row.key: row.digest for row in pool if row.state == HERE}
    files = {path.name: digest_of_file(path).hex() for path in folder.iterdir()}
    tally.otherwise += here != files
    return tally


def shuffle(folder: Path, count: int, rng: random.Random) -> int:
    """Change a folder in which ``count`` pictures were drawn; how many there are afterwards."""
    for i in range(count, count + 20):
        draw(folder / f"{i}.png", i)
    names = sorted(path.name for path in folder.iterdir())
    rng.shuffle(names)
    for name in names[:5]:
        (folder / name).unlink()
    for i, name in enumerate(names[5:10]):
        (folder / name).rename(folder / f"moved {count} {i}.png")
    for one, other in zip(names[10:15], names[15:20], strict=True):
        (folder / one).rename(folder / "aside")
        (folder / other).rename(folder / one)
        (folder / "aside").rename(folder / other)
    return count + 20


def draw(path: Path, number: int) -> None:
    """A picture that no other is like."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def until_asked(page: Page, number: int, count: int) -> None:
    """Wait for the batch of a round; hand in again where that was lost with the server."""
    heading = page.get_by_role("heading", name=f"Round {number}:")
    waiting = page.get_by_text(f"{count} of {count} saved")
    for _ in range(600):
        if heading.count() and page.get_by_text(f"0 of {BY_HAND.per_round} saved").count():
            return
        if waiting.count():
            page.keyboard.press("Enter")
        page.wait_for_timeout(200)
    raise RuntimeError(page.locator("body").inner_text())


def undisturbed(home: Path, rounds: int) -> Experiment:
    """The same experiment, labelled alike, of a program that nobody kills."""
    from al_core.loop.advance import advance
    from al_core.models.hardware import find_hardware

    experiment, store = start(home, BY_HAND), Store(url(home))
    dataset = finish(load("digits", image_size=16, cache_dir=home / "cache"))
    with mock.patch.dict(os.environ, AL_HOME=str(home)):
        for number in range(rounds):
            (batch,) = open_experiment(store, experiment).open_batches
            store.append(experiment, [
                Annotation(image, i % 10, number, "me") for i, image in enumerate(batch.images)
            ])  # fmt: skip
            store.hand_in(batch.id)
            finish(advance(store, experiment, dataset, find_hardware()))
    return open_experiment(store, experiment)


def outcome(experiment: Experiment) -> list:
    """What was measured and asked, round by round."""
    return [
        [r.metrics for r in experiment.rounds],
        [(b.round, b.images, b.scores) for b in experiment.batches],
    ]


def start(home: Path, config: ExperimentConfig) -> int:
    dataset = finish(load(config.data, image_size=config.image_size, cache_dir=home / "cache"))
    return start_experiment(Store(url(home)), "faults", config, dataset)


def visit(page: Page, port: int, experiment: int, first: bool) -> None:
    """Open the page once; later it finds its server again by itself."""
    if first:
        page.goto(f"http://127.0.0.1:{port}/?experiment={experiment}")
    expect(page.get_by_test_id("tile").first).to_be_visible(timeout=60_000)


def label(page: Page, count: int) -> None:
    expect(page.get_by_test_id("tile")).to_have_count(count, timeout=60_000)
    expect(page.get_by_text(f"0 of {count} saved")).to_be_visible(timeout=60_000)
    page.keyboard.type("".join(str(i % 10) for i in range(count)))
    expect(page.get_by_text(f"{count} of {count} saved")).to_be_visible(timeout=60_000)


def kill(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)


def url(home: Path) -> str:
    return f"sqlite:///{home / 'al.db'}"


def integrity(home: Path) -> str:
    with contextlib.closing(sqlite3.connect(home / "al.db")) as database:
        return database.execute("PRAGMA integrity_check").fetchone()[0]


def readable(path: Path) -> bool:
    try:
        load_file(path)
    except Exception:
        return False
    return True
