"""A million images in the desk: ``python -m benchmarks.million``.

Writes ``--images`` small pictures in parquet shards, and features of them as ``embed`` writes them;
starts an experiment on them that has 1,000 labels, and drives the real page in Chromium: how long
until it is open on a server that runs, until a batch is chosen by margin, until its tiles are
drawn, what a label takes, and what the server holds. A small pool beside it says what of that comes
from the size. ``--folder`` keeps what was written, for the next time.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from al_core.config import ExperimentConfig, ModelConfig
from al_core.distributed.streamed_round import streamed_round
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.features.embedding_files import claim, files_in, settled_files, write_file
from al_core.images.dataset import Dataset, identities
from al_core.images.dataset_cache import load
from al_core.loop.advance import advance, choose_batch
from al_core.loop.query import Choice
from al_core.models.hardware import find_hardware
from al_core.progress import finish
from al_core.store.store import Store
from benchmarks.browser import CLOCK, WATCH_SAVED, heading, in_memory, report
from tests.servers import chromium, serving

SIDE, WIDTH, CLASSES = 32, 512, 10
IN_SHARD, IN_GROUP = 10_000, 1000
LABELS, BATCH, TEST = 1000, 100, 2000
NAMES = {
    "huggingface": json.dumps(
        {
            "info": {
                "features": {
                    "image": {"_type": "Image"},
                    "label": {
                        "_type": "ClassLabel",
                        "names": [f"class {i}" for i in range(CLASSES)],
                    },
                }
            }
        }
    )
}


@click.command()
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--small", default=10_000, show_default=True, help="Images of the pool beside it.")
@click.option("--batches", default=10, show_default=True, help="Batches that are handed out.")
@click.option("--repeat", default=5, show_default=True, help="Of openings, and of choices.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it is kept; else nowhere.")
def main(images: int, small: int, batches: int, repeat: int, folder: Path | None) -> None:
    """Print what opening, choosing, showing and labelling take, and the memory of the server."""
    heading(f"{images:,} images of {SIDE} x {SIDE}, features {WIDTH} wide")
    with tempfile.TemporaryDirectory() as name:
        home = folder or Path(name)
        os.environ["AL_HOME"] = str(home)
        pools = {count: prepare(home / f"{count}", count) for count in (small, images)}
        beside(*pools[images], repeat)
        print("| what | pool | n | median | 99% | worst |\n|---|---|---|---|---|---|")
        with chromium() as browser:
            for count, (experiment, _) in pools.items():
                with serving(home) as server, page_of(browser) as page:
                    # Whatever one imports first is imported by a pool of another size.
                    other = next(number for n, (number, _) in pools.items() if n != count)
                    opened(page, server.url, other)
                    page.wait_for_timeout(4000)  # torch is imported meanwhile
                    first = opened(page, server.url, experiment)
                    again = [opened(page, server.url, experiment) for _ in range(repeat)]
                    report("opened for the first time, ms", f"{count:,}", [first])
                    report("opened again, ms", f"{count:,}", again)
                    label(page, home, f"{count:,}", batches)
                    memory = "private: " + ", ".join(
                        f"{in_memory(what, server.pid) / 1e9:.2f} GB {means}"
                        for what, means in (("RssAnon", "now"), ("VmHWM", "with files at most"))
                    )
                    print(f"| {memory} | {count:,} | | | | |", flush=True)


def prepare(folder: Path, images: int) -> tuple[int, Dataset]:
    """A pool of so many images with its features, written unless it was before, and a new
    experiment on it after its first round."""
    pictures, features = folder / "pictures", folder / "features"
    if not pictures.exists():
        began = time.perf_counter()
        write_pictures(folder / "written", images)
        (folder / "written").rename(pictures)
        print(f"{images:,} pictures written in {time.perf_counter() - began:,.0f} s", flush=True)
    began = time.perf_counter()
    dataset = finish(load(str(pictures), cache_dir=Path(os.environ["AL_HOME"]) / "cache"))
    print(f"{images:,} pictures read in {time.perf_counter() - began:,.0f} s, and "
          f"{in_memory('VmHWM') / 1e9:.1f} GB at most", flush=True)  # fmt: skip
    if len(files_in(features)) < 2:
        write_features(features, dataset)
    store = Store()
    config = ExperimentConfig(
        str(pictures), "margin", initial=LABELS, per_round=BATCH, rounds=1000,
        model=ModelConfig(head="linear", embeddings=str(features)), random_baseline=False,
    )  # fmt: skip
    config = replace(config, rounds=min(1000, (len(dataset.train) - LABELS) // BATCH))
    experiment = start_experiment(store, f"{images:,} at {time.time():.0f}", config, dataset)
    finish(advance(store, experiment, dataset, find_hardware()))
    return experiment, dataset


def write_pictures(folder: Path, images: int) -> None:
    """Small JPEGs of coloured noise in parquet shards, and some to test with."""
    folder.mkdir(parents=True)
    chance, done = np.random.default_rng(0), 0
    for split, count in (("train", images), ("test", TEST)):
        for start in range(0, count, IN_SHARD):
            rows = min(IN_SHARD, count - start)
            noise = chance.integers(0, 256, (rows, 8, 8, 3), np.uint8)
            cells = [
                {"bytes": picture(pixels), "path": f"{split}/{start + i:08}.jpg"}
                for i, pixels in enumerate(noise)
            ]
            labels = pa.array(chance.integers(CLASSES, size=rows))
            path = folder / f"{split}-{start // IN_SHARD:05}.parquet"
            table = pa.table({"image": cells, "label": labels}).replace_schema_metadata(NAMES)
            pq.write_table(table, path, row_group_size=IN_GROUP, compression="none")
            done += rows


def picture(pixels: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(encoded, "JPEG")
    return encoded.getvalue()


def write_features(folder: Path, dataset: Dataset) -> None:
    """Features around the centre of each image's class, as ``embed`` leaves them."""
    chance = np.random.default_rng(1)
    centres = chance.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, "drawn at random", SIDE, ours=False)
    for path, images in settled_files(folder, dataset).items():
        rows = np.empty((len(images), WIDTH), np.float16)
        for start in range(0, len(images), IN_SHARD):
            targets = images.targets[start : start + IN_SHARD]
            noise = chance.standard_normal((len(targets), WIDTH), np.float32)
            rows[start : start + IN_SHARD] = centres[targets] + 4 * noise
        write_file(path, images.keys, identities(images).tolist(), rows)


def beside(experiment: int, dataset: Dataset, repeat: int) -> None:
    """The same choice by the desk, and by ``choose``, which reads the same features from files."""
    hardware, desk, files = find_hardware(), [], []
    for _ in range(repeat):
        began, now = time.perf_counter(), open_experiment(Store(), experiment)
        chosen = finish(choose_batch(now, 1, dataset, hardware))
        desk.append(time.perf_counter() - began)
        assert chosen is not None
        assert len(chosen.images) == BATCH
        labels = {dataset.train.keys[i]: a.label for i, a in now.pool.answers.items()}
        features = Path(now.config.model.embeddings)
        streamed = finish(streamed_round(features, labels, {}, Choice("margin", BATCH)))
        files.append(sum(streamed.seconds.values()))
    for what, seconds in (("the desk chooses", desk), ("choose fits, looks up and chooses", files)):
        print(f"{what}: {np.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


@contextmanager
def page_of(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(CLOCK)
    yield page
    page.close()


def opened(page: Page, url: str, experiment: int) -> float:
    """Milliseconds until the pictures of a batch are drawn."""
    page.goto("about:blank")
    began = time.perf_counter()
    page.goto(f"{url}/?experiment={experiment}")
    drawn(page)
    return 1000 * (time.perf_counter() - began)


def drawn(page: Page, but: str | None = None) -> None:
    """Wait until the pictures of a batch are drawn that does not begin with the image ``but``."""
    page.wait_for_function(
        """(but) => [...document.querySelectorAll("*")].some((host) => {
            const grid = host.shadowRoot?.querySelector("[data-testid=label-grid]:not([hidden])");
            const tiles = [...(grid?.querySelectorAll("[data-testid=tile]") ?? [])];
            return tiles.length && tiles[0].dataset.image !== but
                && tiles.every((tile) => tile.querySelector("img")?.naturalWidth);
        })""",
        arg=but,
        timeout=600_000,
    )


def label(page: Page, home: Path, where: str, batches: int) -> None:
    """A batch at a person's pace, then batches that are handed in at once."""
    page.get_by_test_id("label-grid").evaluate(WATCH_SAVED)
    for i in range(BATCH):
        page.keyboard.press(str(i % CLASSES))
        page.wait_for_timeout(150)
    page.wait_for_function(f"desk.saved.length === {BATCH}")
    report("key to its echo, ms", where, page.evaluate("desk.echoes"))
    report("key to saved, ms", where, page.evaluate("desk.saved"))
    took, shown = [], []
    for _ in range(batches):
        expect(page.get_by_text(f"{BATCH} of {BATCH} saved")).to_be_visible(timeout=60_000)
        before = page.get_by_test_id("tile").first.get_attribute("data-image")
        began = time.perf_counter()
        page.keyboard.press("Enter")
        drawn(page, before)
        took.append(1000 * (time.perf_counter() - began))
        shown.append(1000 * (time.time() - chosen_at(home)))
        page.keyboard.press("Control+a")
        page.keyboard.press("1")
    report("handed in to the next batch, ms", where, took)
    report("chosen to its tiles, ms", where, shown)


def chosen_at(home: Path) -> float:
    """When the last batch was chosen, in seconds since 1970."""
    with sqlite3.connect(home / "al.db") as database:
        (made,) = database.execute("SELECT max(created_at) FROM batches").fetchone()
    return datetime.fromisoformat(made).replace(tzinfo=UTC).timestamp()


if __name__ == "__main__":
    main()
