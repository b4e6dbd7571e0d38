"""What a network learns from very few digits: ``python -m benchmarks.first_steps``.

For each number of initial images and each batch size, 20 seeds: the accuracy on the test images of
the classes that were seen, beside that of one nearest neighbour on pixels. The interval of the
difference is the 95% one of a paired t test over the seeds.
"""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from datetime import date

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

from al_core.config import ExperimentConfig, default_train
from al_core.errors import ConfigError
from al_core.experiment.pool import Pool
from al_core.experiment.start import initial_images
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.loop.learners import RoundTask
from al_core.loop.round import run_round
from al_core.models.hardware import find_hardware
from al_core.progress import finish
from al_core.store.records import TRUTH, Annotation


def accuracies(dataset: Dataset, config: ExperimentConfig) -> tuple[float, float]:
    """Of the network (NaN where the training diverged) and of the nearest neighbour."""
    size = len(dataset.train)
    first = initial_images(config, size)
    targets = dataset.train.targets[first]
    answers = {int(i): Annotation(int(i), int(dataset.train.targets[i]), 0, TRUTH) for i in first}
    seen = np.isin(dataset.test.targets, targets)
    truth = dataset.test.targets[seen]
    flat = dataset.train.images[first].reshape(len(first), -1).astype(np.float32)
    nearest = KNeighborsClassifier(1).fit(flat, targets)
    test = dataset.test.images[seen].reshape(seen.sum(), -1).astype(np.float32)
    by_pixels = float((nearest.predict(test) == truth).mean())
    # A temperature changes no prediction, and finding one takes another training.
    task = RoundTask(config, 0, Pool(size, answers), dataset, temperature=1.0, scoring=False)
    try:
        outcome = finish(run_round(task, find_hardware()))
    except ConfigError:
        return float("nan"), by_pixels
    assert outcome.measured is not None
    return float((outcome.measured.probs[seen].argmax(1) == truth).mean()), by_pixels


@click.command()
@click.option("--initial", "counts", multiple=True, type=int, default=(2, 3, 5, 10, 20))
@click.option("--batch-size", "batches", multiple=True, type=int, default=(64, 2, 3, 4))
@click.option("--seeds", default=20, show_default=True)
def main(counts: tuple[int, ...], batches: tuple[int, ...], seeds: int) -> None:
    """Print a table: means over the seeds, in per cent."""
    dataset = finish(load("digits", cache_dir=home() / "cache"))
    print(f"{date.today()}, {os.cpu_count()} cores, torch {torch.__version__}, Python "
          f"{platform.python_version()}; {seeds} seeds\n")  # fmt: skip
    print("| images | batch size | diverged | network | worst | nearest | difference |")
    print("|---|---|---|---|---|---|---|")
    known: dict[tuple[int, int, int], NDArray[np.float64]] = {}
    for batch in batches:
        for count in counts:
            train = replace(default_train("digits"), batch_size=batch)
            alike = (count, train.batch_of(count), train.steps_for(count))
            if alike not in known:  # batch sizes below the least train alike
                known[alike] = np.array([
                    accuracies(dataset, ExperimentConfig(
                        initial=count, train=train, seed=seed, held_out_share=0.0,
                        class_names=dataset.train.class_names))
                    for seed in range(seeds)
                ])  # fmt: skip
            pairs = known[alike]
            diverged = np.isnan(pairs[:, 0])
            own, nearest = 100 * pairs[~diverged].T
            gap = own - nearest
            half = stats.t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / len(gap) ** 0.5
            means = f"{own.mean():.1f} | {own.min():.1f} | {nearest.mean():.1f}"
            interval = f"{gap.mean():+.1f} ± {half:.1f}"
            print(f"| {count} | {batch} | {diverged.sum()} | {means} | {interval} |", flush=True)


if __name__ == "__main__":
    main()
