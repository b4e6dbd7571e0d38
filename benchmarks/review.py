"""Does the review find wrong labels? ``python -m benchmarks.review --data CIFAR10 --labels FILE``.

``FILE`` is an ``.npz`` with labels that real people gave, one for each training image, in
``--column``. For each seed a round is trained on some of them, and the review's order and its
"strongly" are compared with the truth.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import click
import numpy as np
from sklearn.metrics import average_precision_score

from al_core.analysis.label_quality import disagrees_strongly, self_confidence
from al_core.config import ExperimentConfig, default_train
from al_core.experiment.pool import Pool
from al_core.experiment.start import initial_images
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.loop.learners import RoundTask
from al_core.loop.round import run_round
from al_core.models.hardware import find_hardware
from al_core.progress import finish
from al_core.store.records import Annotation


@click.command()
@click.option("--data", required=True)
@click.option("--labels", "file", required=True, type=click.Path(path_type=Path))
@click.option("--column", default="person_1", show_default=True)
@click.option("--initial", default=1000, show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0, 1, 2), show_default=True)
def main(data: str, file: Path, column: str, initial: int, seeds: tuple[int, ...]) -> None:
    """Print how well self-confidence ranks wrong labels first."""
    hardware = find_hardware()
    dataset = finish(load(data, cache_dir=home() / "cache"))
    given = np.load(file)[column].astype(np.int64)
    print(f"{date.today()}, {hardware.name}, {column}, {initial:,} labels\n")
    print("| seed | wrong | average precision | wrong among the first 50 | marked strongly | "
          "of these wrong |\n|---|---|---|---|---|---|")  # fmt: skip
    config = ExperimentConfig(
        data=data, initial=initial, train=default_train(data),
        class_names=dataset.train.class_names,
    )  # fmt: skip
    for seed in seeds:
        seeded = replace(config, seed=seed)
        images = initial_images(seeded, len(dataset.train))
        pool = Pool.fold(
            len(dataset.train),
            [Annotation(int(i), int(given[i]), 0, column) for i in images],
        )
        said = finish(run_round(RoundTask(seeded, 0, pool, dataset), hardware)).predictions
        assert said is not None
        probs, labels = said.probs[pool.labeled], pool.labels
        wrong = labels != dataset.train.targets[pool.labeled]
        confidence, strong = self_confidence(probs, labels), disagrees_strongly(probs, labels)
        first = wrong[confidence.argsort()[:50]]
        print(f"| {seed} | {wrong.mean():.1%} | {average_precision_score(wrong, -confidence):.2f} "
              f"| {first.mean():.0%} | {strong.mean():.1%} | {wrong[strong].mean():.0%} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
