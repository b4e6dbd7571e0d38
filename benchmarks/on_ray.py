"""A Ray cluster of this machine beside its own processes: ``python -m benchmarks.on_ray --data X``.

The features of all images: in process, and by an actor on each core, without the start of Ray and
of its actors, which does not grow with the pool. Simulations on digits: by two processes, and as
tasks, with all that starts. Each in turn, ``--repeat`` times. Needs requirements-dev.txt.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from al_core.config import ExperimentConfig, TrainConfig
from al_core.features import embed_into, read_features
from al_core.images import load
from al_core.on_ray import embed_on_ray, simulate_on_ray
from al_core.progress import Progress, finish
from al_core.simulations import Simulation, run_all
from benchmarks.browser import heading


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--repeat", default=1, show_default=True)
@click.option("--simulations", default=8, show_default=True, help="0 leaves them out.")
def main(data: str, repeat: int, simulations: int) -> None:
    """Print images and simulations a second, by Ray and without it."""
    heading(f"torch {torch.__version__}, {data}")
    print("| what | by | each time | median |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AL_HOME"] = folder
        home = Path(folder)
        dataset = finish(load(data, cache_dir=home / "cache"))
        weights = home / "mine.safetensors"
        torch.manual_seed(0)
        tensors = resnet18(weights=None).state_dict()
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights)
        count = len(dataset.train) + len(dataset.test)
        rates: dict[str, list[float]] = {"one process": [], "Ray": []}
        for turn in range(repeat):
            alone, together = home / f"alone-{turn}", home / f"together-{turn}"
            rates["one process"].append(rate(embed_into(alone, str(weights), dataset), count))
            rates["Ray"].append(rate(embed_on_ray(data, str(weights), together, 32), count))
        report("images a second", rates)
        one, other = read_features(alone, dataset), read_features(together, dataset)
        same = np.array_equal(one.train, other.train) and np.array_equal(one.test, other.test)
        print(f"\nThe same numbers: {same}.\n")
        if simulations:
            simulate(home, simulations, repeat)


def rate(work: Iterable[Progress], count: int) -> float:
    """Images a second from the first report of progress to the last."""
    marks = [(time.perf_counter(), p.fraction) for p in work if p.phase == "Computing features"]
    (began, first), (ended, last) = marks[0], marks[-1]
    return (last - first) * count / (ended - began)


def simulate(home: Path, count: int, repeat: int) -> None:
    train = TrainConfig(epochs=1, min_steps=60, flip=False)
    config = ExperimentConfig(data="digits", initial=50, per_round=50, rounds=2, train=train)
    rates: dict[str, list[float]] = {"two processes": [], "Ray": []}
    rows: dict[str, list[tuple[object, ...]]] = {}
    for turn in range(repeat):
        for by, seconds in rates.items():
            os.environ["AL_HOME"] = str(home / f"{by} {turn}")
            wanted = [Simulation(replace(config, seed=seed)) for seed in range(count)]
            began = time.perf_counter()
            reports = run_all(wanted, 2) if by == "two processes" else simulate_on_ray(wanted)
            said = [r for r in reports if not isinstance(r, Progress)]
            seconds.append(60 * count / (time.perf_counter() - began))
            rows[by] = sorted((r.seed, r.round, r.test_accuracy) for r in said)
    report("simulations a minute", rates)
    print(f"\nThe same rows: {rows['two processes'] == rows['Ray']}.")


def report(what: str, rates: dict[str, list[float]]) -> None:
    for by, values in rates.items():
        each = ", ".join(f"{value:,.1f}" for value in values)
        print(f"| {what} | {by} | {each} | {np.median(values):,.1f} |", flush=True)


if __name__ == "__main__":
    main()
