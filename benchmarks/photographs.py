"""The desk with photographs, timed in Chromium: ``python -m benchmarks.photographs``.

Photographs of 2 to 12 megapixels in batches of 100, while nothing else runs and while a round
trains on the same cores: from the choice of a batch until all of its pictures that are in view are
drawn, and from a key until the original of 12 megapixels is, beside a tab that redraws each second;
then how evenly a thousand tiles scroll. Needs requirements-dev.txt and a Chromium.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.pictures.thumbnails import Thumbnails
from al_core.progress import finish
from al_core.store.store import Store
from benchmarks.browser import heading, report
from benchmarks.desk import BATCH, Desk, prepare
from tests.servers import chromium, serving

SIZES = [(1632, 1224), (2448, 1632), (3264, 2448), (4000, 3000)]  # 2, 4, 8 and 12 megapixels
SCROLLED = 1000  # tiles
# From a key to the frame that shows the original.
ENLARGE = """() => new Promise((done) => {
    const root = [...document.querySelectorAll("*")]
        .find((node) => node.shadowRoot?.querySelector("[data-testid=large]")).shadowRoot;
    const began = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown",
        {key: "z", code: "KeyZ", bubbles: true, composed: true}));
    const image = root.querySelector("[data-testid=large] img:last-child");
    const look = async () => {
        if (!image.naturalWidth) return requestAnimationFrame(look);
        await image.decode();
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
    };
    look();
})"""
FRAMES = """() => new Promise((done) => {
    const frames = [];
    let [before, left] = [performance.now(), 300];
    const look = (now) => {
        frames.push(now - before);
        before = now;
        scrollTarget.scrollBy(0, 40);
        if (left--) requestAnimationFrame(look);
        else done(frames.slice(1));
    };
    const scrollTarget = document.querySelector("[data-testid=stMain]");
    requestAnimationFrame(look);
})"""


@click.command()
@click.option("--batches", default=3, show_default=True, help="Of each kind.")
@click.option("--originals", default=20, show_default=True, help="Enlarged in each case.")
def main(batches: int, originals: int) -> None:
    """Print what a batch of photographs, an original and scrolling take."""
    heading("photographs")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder)
        os.environ["AL_HOME"] = str(home)
        write(home / "photographs", SIZES, (4 * batches + 4) * BATCH * 5 // 4)
        config = ExperimentConfig(
            str(home / "photographs"), initial=BATCH, per_round=BATCH, random_baseline=False
        )
        experiment = prepare(config)
        train = finish(load(config.data, cache_dir=home / "cache")).train
        assert train.files is not None
        largest = {int(i) for i in np.flatnonzero(train.files["width"] == max(SIZES)[0])}
        draw_thumbnails(home, config.data)
        print("| what | where | n | median | 99% | worst |\n|---|---|---|---|---|---|")
        with serving(home) as server:
            desk = Desk(home, browser, f"{server.url}/?experiment={experiment}", in_view=True)
            desk.open_another()
            desk.page.keyboard.press("Control+a")
            desk.page.keyboard.press("1")
            desk.start_training()
            thumbnails = home / "cache" / "thumbnails"
            for where in ("a round trains", "nothing else runs"):
                if where == "nothing else runs":
                    desk.cancel_training()
                desk.batches(f"{where}, thumbnails there", batches)
                thumbnails.rename(home / "aside")
                remove = partial(shutil.rmtree, thumbnails, ignore_errors=True)
                desk.batches(f"{where}, no thumbnails", batches, remove)
                remove()
                (home / "aside").rename(thumbnails)
                if where == "a round trains":
                    originals_of(desk.page, where, largest, originals)
        idle(home, browser, originals)


def idle(home: Path, browser: Browser, originals: int) -> None:
    """Originals and a thousand tiles, while nothing else runs."""
    many, large = untrained(home, (640, 480), SCROLLED), untrained(home, max(SIZES), BATCH)
    with serving(home) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{server.url}/?experiment={large}")
        expect(page.get_by_test_id("tile")).to_have_count(BATCH, timeout=120_000)
        page.wait_for_timeout(8000)  # their thumbnails are drawn
        originals_of(page, "nothing else runs", None, originals)
        page.goto(f"{server.url}/?experiment={many}")
        scroll(page)


def write(folder: Path, sizes: list[tuple[int, int]], count: int) -> None:
    """JPEGs of smooth noise, each another part of it, in two folders."""
    wide, high = (side + 500 for side in max(sizes))
    noise = Image.effect_noise((wide // 8, high // 8), 90).convert("RGB")
    noise = noise.resize((wide, high), Image.Resampling.BICUBIC)
    at = random.Random(0)
    for i in range(count):
        left, top = at.randrange(500), at.randrange(500)
        width, height = sizes[i % len(sizes)]
        path = folder / "ab"[i % 2] / f"IMG_{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise.crop((left, top, left + width, top + height)).save(path, quality=90)


def draw_thumbnails(home: Path, folder: str) -> None:
    """All of them, as if they had been looked at before."""
    source = finish(load(folder, cache_dir=home / "cache"))
    pictures, kept = source.pictures, Thumbnails(home / "cache" / "thumbnails", 1e10)
    assert pictures is not None
    assert source.train.files is not None
    with ThreadPoolExecutor() as pool:
        digests = [one.tobytes() for one in source.train.files["digest"]]
        list(pool.map(lambda digest: kept.of(lambda: pictures, digest), digests))


def originals_of(page: Page, where: str, largest: set[int] | None, count: int) -> None:
    """Enlarge some pictures, of those that are the largest, each for the first time."""
    took = []
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(BATCH)
    for i in range(BATCH - 1, -1, -1):  # backwards: what comes next is fetched ahead
        if len(took) < count and (
            largest is None or int(tiles.nth(i).get_attribute("data-image") or "") in largest
        ):
            tiles.nth(i).click()
            took.append(page.evaluate(ENLARGE))
            page.keyboard.press("z")
    report("enlarging to the original of 12 megapixels, ms", where, took)


def untrained(home: Path, size: tuple[int, int], count: int) -> int:
    """An experiment whose first batch is so many photographs."""
    folder = home / f"of {size[0]}"
    write(folder, [size], count * 3 // 2)  # some lie on the other side of the split
    config = ExperimentConfig(
        str(folder), initial=count, rounds=0, initial_labels="person", random_baseline=False
    )
    source = finish(load(config.data, cache_dir=home / "cache"))
    return start_experiment(Store(), folder.name, config, source)


def scroll(page: Page) -> None:
    """Once all of its tiles are drawn."""
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(SCROLLED, timeout=120_000)
    drawn = "tiles => tiles.every((tile) => tile.querySelector('img').naturalWidth)"
    while not tiles.evaluate_all(drawn):
        page.wait_for_timeout(500)
    frames = page.evaluate(FRAMES)
    report("a frame while 1,000 tiles scroll, ms", "nothing else runs", frames)
    late = sum(frame > 17.5 for frame in frames)
    print(f"\n{late} of {len(frames)} frames were late.")


if __name__ == "__main__":
    main()
