"""A folder of 100,000 images: ``python -m benchmarks.load folder``.

Small JPEGs of noise, and fewer large ones, in ten folders in a temporary place. Each is loaded by a
process of its own, on one core and on all, into an empty cache, and once more from that cache.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image

from al_core.images.dataset_cache import load
from al_core.progress import Progress, finish
from benchmarks.browser import heading, in_memory

SIZE = 32
MB = 1e6


class Loaded(NamedTuple):
    """What one process saw: seconds; the longest time without a report, the first included; the
    most memory it held beyond what it began with, and what it holds at the end; bytes of images."""

    seconds: float
    silent: float
    peak: float
    kept: float
    array: int


@click.command()
@click.option("--small", default=100_000, show_default=True, help="Images of 32x32 pixels.")
@click.option("--large", default=2_000, show_default=True, help="Images of 500x375 pixels.")
@click.option("--repeat", default=3, show_default=True)
def folder(small: int, large: int, repeat: int) -> None:
    """A folder of 100,000 images: seconds, silence, memory."""
    heading(f"median of {repeat}")
    titles = ("images", "cores", "seconds", "images a second", "longest without a report, s",
              "most memory, MB", "times the array", "at the end, MB")  # fmt: skip
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    with tempfile.TemporaryDirectory() as scratch:
        for count, width, height in ((small, 32, 32), (large, 500, 375)):
            source = Path(scratch) / f"{width}"
            make(source, count, width, height)
            runs: dict[str, list[Loaded]] = {"1": [], str(os.cpu_count()): [], "from the cache": []}
            for number in range(repeat):
                for cores, seen in runs.items():
                    cache = Path(scratch) / f"cache-{width}-{number}-{cores}"
                    if cores == "from the cache":
                        cache = Path(scratch) / f"cache-{width}-{number}-1"
                    seen.append(in_a_process(source, cache, cores))
            for cores, seen in runs.items():
                report(f"{count:,} of {width}x{height}", cores, count, seen)


def make(source: Path, count: int, width: int, height: int) -> None:
    """``count`` JPEGs in ten folders; no two are the same."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (height + 100, width + 100, 3), dtype=np.uint8)
    for i in range(10):
        (source / f"class {i}").mkdir(parents=True)
    for i in range(count):
        top, left = rng.integers(100, size=2)
        target = io.BytesIO()
        picture = Image.fromarray(
            noise[top : top + height, left : left + width] ^ np.uint8(i % 251)
        )
        picture.save(target, "JPEG", quality=85)
        (source / f"class {i % 10}" / f"{i:06d}.jpg").write_bytes(target.getvalue())


def in_a_process(source: Path, cache: Path, cores: str) -> Loaded:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as workers:
        return workers.apply(measure, (source, cache, 1 if cores == "1" else 0))


def measure(source: Path, cache: Path, cores: int) -> Loaded:
    """Load a folder in this process, on so many cores, 0 for all."""
    if cores:
        os.sched_setaffinity(0, range(cores))
    import PIL.JpegImagePlugin  # noqa: F401  what is imported is no part of the images

    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
    before = in_memory("VmRSS")
    began = last = time.perf_counter()
    silent = 0.0

    def note(_: Progress) -> None:
        nonlocal last, silent
        now = time.perf_counter()
        silent, last = max(silent, now - last), now

    dataset = finish(load(str(source), image_size=SIZE, cache_dir=cache), note)
    seconds = time.perf_counter() - began
    silent = max(silent, time.perf_counter() - last)
    peak, kept = in_memory("VmHWM") - before, in_memory("VmRSS") - before
    array = dataset.train.images.nbytes + dataset.test.images.nbytes
    return Loaded(seconds, silent, peak, kept, array)


def report(what: str, cores: str, count: int, runs: list[Loaded]) -> None:
    seconds, silent, peak, kept, array = np.median(np.array(runs), axis=0)
    print(f"| {what} | {cores} | {seconds:.1f} ({max(run.seconds for run in runs):.1f}) "
          f"| {count / seconds:,.0f} | {silent:.2f} | {peak / MB:.0f} | {peak / array:.2f} "
          f"| {kept / MB:.0f} |", flush=True)  # fmt: skip
