"""Time and memory of every strategy against pool size: ``python -m benchmarks.strategies``.

Random inputs: 512-wide float16 embeddings, 10 classes, 1,000 labelled. Each strategy chooses 1,000
images, several times, as in a round: with what is copied of the pool, and with the committee where
one is asked. Each in a process of its own, so that its memory is its own too.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
import statistics
import time
from datetime import date

import click
import torch

from al_core.experiment.pool import Pool
from al_core.experiment.predictions import PoolPredictions
from al_core.loop.query import Choice, choose
from al_core.store.records import Annotation
from al_core.strategies.registry import STRATEGIES, titled

WIDTH, CLASSES, LABELED, ASKED = 512, 10, 1000, 1000


def inputs(size: int) -> tuple[PoolPredictions, Pool]:
    """What a model says of ``size`` unlabelled images and as many as are labelled, and the pool."""
    generator = torch.Generator().manual_seed(0)
    everything = size + LABELED
    blocks = torch.split(torch.empty(everything, 0), 10_000)
    embeddings = torch.cat(
        [torch.randn(len(rows), WIDTH, generator=generator).half() for rows in blocks]
    )
    probs = (2 * torch.randn(everything, CLASSES, generator=generator)).softmax(1)
    answers = {i: Annotation(i, i % CLASSES, 0, "random") for i in range(LABELED)}
    return PoolPredictions(0, probs.numpy(), embeddings.numpy()), Pool(everything, answers)


def measure(name: str, size: int, repeat: int) -> tuple[list[float], float]:
    """Seconds of each choice, and GB held above the inputs at most."""

    def chosen(n: int, predictions: PoolPredictions, pool: Pool, seed: int) -> None:
        choice = Choice(name, n, seed=seed)
        choose(choice, predictions, pool, pool.unlabeled, torch.device("cpu"))

    whole = inputs(size)
    # A first, small choice loads the kernels; nobody waits for that twice.
    chosen(10, *inputs(1000), 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for seed in range(repeat):
        start = time.perf_counter()
        chosen(ASKED, *whole, seed)
        seconds.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, (after - before) * 1024 / 1e9


@click.command()
@click.option("--size", "sizes", multiple=True, type=int, default=(10_000, 49_000, 200_000))
@click.option("--repeat", default=5, show_default=True)
@click.option("--strategy", "names", multiple=True, default=tuple(STRATEGIES))
def main(sizes: tuple[int, ...], repeat: int, names: tuple[str, ...]) -> None:
    """Print a table of medians, with the slowest of the runs in brackets."""
    print(f"{date.today()}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python "
          f"{platform.python_version()}; seconds to choose {ASKED:,}, median of {repeat} (worst), "
          "and GB above the inputs\n")  # fmt: skip
    print("| strategy |" + "".join(f" {size:,} | GB |" for size in sizes))
    print("|---|" + "---|---|" * len(sizes))
    context = multiprocessing.get_context("spawn")
    for name in names:
        cells = []
        for size in sizes:
            with context.Pool(1) as pool:
                seconds, memory = pool.apply(measure, (name, size, repeat))
            median, worst = statistics.median(seconds), max(seconds)
            cells.append(f" {median:.2f} ({worst:.2f}) | {memory:.1f} |")
        print(f"| {titled(name)} |" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
