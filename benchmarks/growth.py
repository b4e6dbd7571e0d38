"""How a round with a linear head grows with the pool: ``python -m benchmarks.growth``.

Random embeddings, 512 wide in half precision and memory-mapped, 10 classes, 1,000 labelled. A round
fits a head, scores the pool and chooses 1,000 by margin; each size in a process of its own, so that
its memory is its own too.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

import click
import numpy as np
import torch

from al_core.config import ExperimentConfig
from al_core.experiment.pool import Pool
from al_core.features.read import Features
from al_core.images.dataset import Dataset, ImageSet
from al_core.loop.learners import RoundTask
from al_core.loop.query import Choice, choose
from al_core.loop.round import run_round
from al_core.models.hardware import Hardware
from al_core.progress import finish
from al_core.store.records import Annotation

WIDTH, CLASSES, LABELED, ASKED = 512, 10, 1000, 1000
BLOCK = 10_000


def embeddings(path: Path, size: int) -> np.ndarray:
    """``size`` rows around ten centres, written block by block."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    rows = np.lib.format.open_memmap(path, "w+", np.float16, (size, WIDTH))
    for start in range(0, size, BLOCK):
        block = np.arange(start, min(start + BLOCK, size))
        noise = rng.normal(scale=4, size=(len(block), WIDTH)).astype(np.float32)
        rows[block] = centers[block % CLASSES] + noise
    rows.flush()
    return np.load(path, mmap_mode="c")


def measure(size: int, repeat: int) -> tuple[list[float], float]:
    """Seconds of each round, and GB held above what was there before, the embeddings included."""
    cpu = Hardware(torch.device("cpu"), torch.float32)
    names = tuple(map(str, range(CLASSES)))
    config = ExperimentConfig(class_names=names)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        train = embeddings(Path(folder) / "train.npy", size)
        nothing = np.broadcast_to(np.uint8(0), (size, 3, 8, 8))  # one byte, seen often
        targets = np.arange(size) % CLASSES
        none = ImageSet(nothing[:0], targets[:0], names, ())
        dataset = Dataset("random", ImageSet(nothing, targets, names, ()), none, "", ())
        features = Features(train, train[:0], "")
        pool = Pool(size, {i: Annotation(i, i % CLASSES, 0, "random") for i in range(LABELED)})
        seconds = []
        for seed in range(repeat):
            start = time.perf_counter()
            outcome = finish(run_round(RoundTask(config, 0, pool, dataset, features), cpu))
            choice, of_pool = Choice("margin", ASKED, seed=seed), outcome.predictions
            choose(choice, of_pool, pool, pool.unlabeled, cpu.device)
            seconds.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, (after - before) * 1024 / 1e9


@click.command()
@click.option(
    "--size", "sizes", multiple=True, type=int, default=(10_000, 50_000, 200_000, 1_000_000)
)
@click.option("--repeat", default=5, show_default=True)
def main(sizes: tuple[int, ...], repeat: int) -> None:
    """Print a table of medians, with the slowest of the rounds in brackets."""
    print(f"{date.today()}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python "
          f"{platform.python_version()}; a round with a linear head and {LABELED:,} labels, median "
          f"of {repeat} (worst)\n")  # fmt: skip
    print("| embeddings | seconds | GB |\n|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for size in sizes:
        with context.Pool(1) as workers:
            seconds, memory = workers.apply(measure, (size, repeat))
        median, worst = statistics.median(seconds), max(seconds)
        print(f"| {size:,} | {median:.2f} ({worst:.2f}) | {memory:.1f} |", flush=True)


if __name__ == "__main__":
    main()
