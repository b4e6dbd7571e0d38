"""A folder of very many photographs: ``python -m benchmarks.large_folder``.

How long until it is listed, and from *Start* until the first pictures are there, in Chromium, and
what the server holds in memory meanwhile; then how fast photographs are read, beside a loop that
does nothing but read and digest the same files, and one that decodes them as small as it may.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from al_core.images.dataset_cache import load
from al_core.progress import finish
from benchmarks.browser import heading, in_memory
from benchmarks.pictures import photograph
from tests.servers import APP, CHROMIUM, FLAGS, serving

IN_A_FOLDER = 500
WAITS = 600_000  # milliseconds


@click.command()
@click.option("--files", default=100_000, show_default=True)
@click.option("--photographs", default=200, show_default=True, help="Of 12 megapixels.")
@click.option("--repeat", default=3, show_default=True)
@click.option("--to-the-end", is_flag=True, help="Wait until all files are read.")
@click.option("--classes", is_flag=True, help="The folders are classes.")
def main(files: int, photographs: int, repeat: int, to_the_end: bool, classes: bool) -> None:
    """Print a line for each measurement."""
    heading(f"{files:,} files and {photographs:,} photographs")
    with tempfile.TemporaryDirectory() as name:
        many, large = Path(name) / "many", Path(name) / "large"
        write_many(many, files, "kind" if classes else "2024")
        for number in range(repeat):
            start(many, Path(name) / f"home{number}", to_the_end and number == 0, classes)
        for i in range(photographs):
            photograph(large / f"{i:05}.jpg")
        paths = sorted(large.iterdir())
        size = sum(path.stat().st_size for path in paths)
        read = {"read": lambda: finish(load(str(large), cache_dir=Path(tempfile.mkdtemp()))),
                "digested, one core": lambda: [digest(path) for path in paths],
                "decoded small, one core": lambda: [decode(path) for path in paths]}  # fmt: skip
        for _ in range(repeat):
            for what, work in read.items():
                seconds = timed(work)
                print(f"{what}: {photographs / seconds:.1f} photographs a second, "
                      f"{size / seconds / 1e6:.0f} MB/s", flush=True)  # fmt: skip


def write_many(root: Path, count: int, named: str) -> None:
    """Small JPEGs, none like another, in folders ``named`` and numbered."""
    encoded = io.BytesIO()
    Image.effect_noise((160, 120), 90).convert("RGB").save(encoded, "JPEG")
    for number in range(count):
        folder = root / f"{named}-{number // IN_A_FOLDER:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"IMG_{number:06}.jpg").write_bytes(
            encoded.getvalue() + number.to_bytes(8, "big")
        )


def start(folder: Path, home: Path, to_the_end: bool, classes: bool) -> None:
    """An experiment on a folder, begun as a person would."""
    with (
        serving(home, APP, "--data", str(folder)) as server,
        sync_playwright() as play,
        play.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as chromium,
    ):
        page = chromium.new_page()
        listed = timed(lambda: opened(page, server.url))
        filled(page, classes)
        before = in_memory("VmRSS", server.pid)
        begun = timed(lambda: started(page))
        most = in_memory("VmHWM", server.pid)
        print(f"listed after {listed:.1f} s, the first picture {begun:.1f} s after Start; "
              f"{before / 1e6:.0f} MB before, {most / 1e6:.0f} at most", flush=True)  # fmt: skip
        if to_the_end:
            reading = page.get_by_text("Reading the images of")
            seconds = timed(lambda: expect(reading).to_have_count(0, timeout=WAITS))
            most = in_memory("VmHWM", server.pid)
            print(f"all read {seconds:.0f} s later, {most / 1e6:.0f} MB at most", flush=True)


def opened(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text("The folders are").first.wait_for(timeout=WAITS)


def filled(page: Page, classes: bool) -> None:
    """Say what the folders are, and that a person labels the first images."""
    page.get_by_role("paragraph").filter(has_text=re.compile(r"^More$")).click()
    page.get_by_role("spinbutton", name="Initial images").fill("20")
    if classes:
        page.get_by_test_id("stRadio").get_by_text("me", exact=True).click()
        expect(page.get_by_role("combobox", name="Chosen by")).to_be_enabled(timeout=WAITS)
    else:
        page.get_by_text("no classes", exact=True).click()
        page.get_by_role("textbox", name="Classes").fill("cat\ndog")
        page.get_by_role("spinbutton", name="Initial images").press("Tab")
        expect(page.get_by_text("the truth", exact=True)).to_have_count(0, timeout=WAITS)


def started(page: Page) -> None:
    page.get_by_role("button", name="Start experiment").click()
    page.wait_for_function(
        "[...document.querySelectorAll('*')].flatMap(e => e.shadowRoot ? [e.shadowRoot] : [])"
        ".concat(document).flatMap(r => [...r.querySelectorAll('[data-testid=tile] img')])"
        ".some(image => image.naturalWidth > 0)",
        timeout=WAITS,
    )


def digest(path: Path) -> bytes:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()


def decode(path: Path) -> None:
    with Image.open(path) as image:
        image.draft(None, (64, 64))
        image.resize((32, 32), Image.Resampling.LANCZOS)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
