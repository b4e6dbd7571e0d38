"""The loop on a source: ``python -m benchmarks.loop --data PATH_TO_CIFAR10``.

Loads the images twice, the second time from the cache, runs rounds with the default settings and
the truth as annotator, and prints a table: seconds, accuracy, and the most memory the process held.
"""

from __future__ import annotations

import os
import platform
import resource
import tempfile
import time
from datetime import date

import click
import torch

from al_core.config import ExperimentConfig, default_train
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.models.hardware import find_hardware
from al_core.progress import finish
from al_core.simulation.on_disk import Simulation
from al_core.simulation.runner import run_one
from al_core.simulation.simulate import Row


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--initial", default=1000, show_default=True)
@click.option("--per-round", default=100, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True)
def main(data: str, initial: int, per_round: int, rounds: int, seeds: tuple[int, ...]) -> None:
    """Print what one simulated experiment for each seed takes and gives."""
    hardware = find_hardware()
    print(f"{date.today()}, {hardware.name}, {torch.get_num_threads()} threads, {hardware.dtype}, "
          f"torch {torch.__version__}, Python {platform.python_version()}")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AL_HOME"] = folder  # nothing is known yet
        for which in ("first", "second"):
            start = time.perf_counter()
            dataset = finish(load(data, cache_dir=home() / "cache"))
            print(f"{which} load: {time.perf_counter() - start:.2f} s, {len(dataset.train):,} + "
                  f"{len(dataset.test):,} images")  # fmt: skip
        print(
            "\n| seed | round | labelled | test accuracy | train | evaluate | score | whole round |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for seed in seeds:
            config = ExperimentConfig(
                data=data, initial=initial, per_round=per_round, rounds=rounds, seed=seed,
                train=default_train(data), class_names=dataset.train.class_names,
            )  # fmt: skip
            start = time.perf_counter()
            for report in run_one(Simulation(config)):
                if isinstance(report, Row):
                    whole, start = time.perf_counter() - start, time.perf_counter()
                    evaluate = whole - report.train_seconds - report.score_seconds
                    print(f"| {seed} | {report.round} | {report.labeled:,} | "
                          f"{report.test_accuracy:.1%} | {report.train_seconds:.1f} s | "
                          f"{evaluate:.1f} s | {report.score_seconds:.1f} s | {whole:.1f} s |",
                          flush=True)  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"\nmost memory held: {peak:.2f} GB")


if __name__ == "__main__":
    main()
