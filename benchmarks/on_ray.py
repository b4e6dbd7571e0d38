"""A Ray cluster of this machine beside its own processes: ``python -m benchmarks.on_ray --data X``.

The features of all images: in process, with and without what decoding them takes, and by an actor
on each core, which decodes, without the start of Ray and of its actors, which does not grow with
the pool. Simulations on digits: by two processes, and as tasks, with all that starts. Each in turn,
``--repeat`` times, and once more by Ray, with a worker killed in the middle. Needs
requirements-dev.txt.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
from al_core.distributed.embed import embed_on_ray
from al_core.distributed.simulate import simulate_on_ray
from al_core.features.embed import embed_into
from al_core.features.read import read_features
from al_core.images.dataset_cache import load
from al_core.progress import Progress, finish
from al_core.simulation.on_disk import Simulation
from al_core.simulation.runner import run_all
from al_core.simulation.simulate import Row
from benchmarks.browser import heading
from tests.ray_workers import kill_a_worker

CORES = os.cpu_count() or 1


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--repeat", default=1, show_default=True)
@click.option("--simulations", default=8, show_default=True, help="0 leaves them out.")
def main(data: str, repeat: int, simulations: int) -> None:
    """Print images and simulations a second, by Ray and without it."""
    heading(f"torch {torch.__version__}, {data}")
    print("| what | by | each time | median |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        os.environ["AL_HOME"] = name
        home = Path(name)
        dataset = finish(load(data, cache_dir=home / "cache"))
        weights = home / "mine.safetensors"
        torch.manual_seed(0)
        tensors = resnet18(weights=None).state_dict()
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights)
        model = ModelConfig(str(weights), head="linear")
        count = len(dataset.train) + len(dataset.test)
        rates: dict[str, list[float]] = {
            "one process, images decoded": [], "one process": [], "Ray": []
        }  # fmt: skip
        for turn in range(repeat):
            alone, together = home / f"alone-{turn}", home / f"together-{turn}"
            began = time.perf_counter()
            finish(load(data, cache_dir=home / f"cache-{turn}"))
            decoding = time.perf_counter() - began
            decoded = rate(embed_into(alone, model, dataset, 32), count)
            rates["one process, images decoded"].append(decoded)
            rates["one process"].append(count / (count / decoded + decoding))
            work = embed_on_ray(data, model, together, 32)
            rates["Ray"].append(rate(work, count, CORES))
        killed = home / "killed"
        work = embed_on_ray(data, model, killed, 32)
        work = killing(work, "_Holder", lambda p: p.unit == "files" and p.fraction >= 0.3)
        rates["Ray, a worker killed"] = [rate(work, count, CORES)]
        report("images a second", rates)
        one = read_features(alone, dataset)
        for folder in (together, killed):
            other = read_features(folder, dataset)
            same = np.array_equal(one.train, other.train) and np.array_equal(one.test, other.test)
            print(f"\nThe same numbers ({folder.name}): {same}.")
        if simulations:
            simulate(home, simulations, repeat)


def rate(work: Iterable[Progress], count: int, at_once: int = 1) -> float:
    """Images a second from the first report to the last. When the first of ``at_once`` actors
    reports, the others are about to: what they have in hand is not counted."""
    marks = [(time.perf_counter(), p) for p in work if p.phase == "Computing features"]
    steps = [p.done - (b.done if p.total == b.total else 0) for (_, b), (_, p) in pairwise(marks)]
    done, (began, first), (ended, last) = sum(steps) - (at_once - 1), marks[0], marks[-1]
    # A process counts images, those of the test set anew; Ray counts files.
    images = done if first.unit == "images" else done / last.total * count
    return images / (ended - began)


def killing(work: Iterable[Any], name: str, when: Callable[[Any], bool]) -> Iterator[Any]:
    """``work``, with a worker killed when something is first said of which ``when`` holds."""
    for said in work:
        yield said
        if when(said):
            kill_a_worker(name)
            break
    yield from work


def simulate(home: Path, count: int, repeat: int) -> None:
    train = TrainConfig(epochs=1, min_steps=60, flip=False)
    config = ExperimentConfig(data="digits", initial=50, per_round=50, rounds=2, train=train)
    wanted = [Simulation(replace(config, seed=seed)) for seed in range(count)]
    ways = {
        "two processes": lambda: run_all(wanted, 2),
        "Ray": lambda: simulate_on_ray(wanted),
        "Ray, a worker killed": lambda: killing(
            simulate_on_ray(wanted), "_simulate", lambda said: isinstance(said, Row)
        ),
    }
    rates: dict[str, list[float]] = {by: [] for by in ways}
    rows: dict[str, list[tuple[object, ...]]] = {}
    for by in ["two processes", "Ray"] * repeat + ["Ray, a worker killed"]:
        os.environ["AL_HOME"] = str(home / f"{by} {len(rates[by])}")
        began = time.perf_counter()
        said = [row for row in ways[by]() if isinstance(row, Row)]
        rates[by].append(60 * count / (time.perf_counter() - began))
        rows[by] = sorted((row.seed, row.round, row.test_accuracy) for row in said)
    report("simulations a minute", rates)
    for by in rows:
        print(f"\nThe same rows ({by}): {rows[by] == rows['two processes']}.")


def report(what: str, rates: dict[str, list[float]]) -> None:
    for by, values in rates.items():
        each = ", ".join(f"{value:,.1f}" for value in values)
        print(f"| {what} | {by} | {each} | {np.median(values):,.1f} |", flush=True)


if __name__ == "__main__":
    main()
