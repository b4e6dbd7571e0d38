"""Does the review find wrong labels? ``python -m benchmarks.review --data CIFAR10 --labels FILE``.

``FILE`` is an ``.npz`` with labels that real people gave, one for each training image, in
``--column``. For each seed a round is trained on some of them, a network or, with ``--weights``, a
linear head on what these give, and the review's order and its "strongly" are compared with the
truth; beside them cleanlab's, on the same predictions.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import click
import numpy as np
from sklearn.metrics import average_precision_score

from al_core.analysis.label_quality import disagrees_strongly, self_confidence
from al_core.config import ExperimentConfig, Head, ModelConfig, default_train, size_in_memory
from al_core.experiment.pool import Pool
from al_core.experiment.start import initial_images
from al_core.features.embed import frozen_features
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
@click.option("--weights", default="none", show_default=True, help="Of a frozen encoder.")
@click.option("--initial", default=1000, show_default=True)
@click.option("--seed", "seeds", multiple=True, type=int, default=(0, 1, 2), show_default=True)
def main(
    data: str, file: Path, column: str, weights: str, initial: int, seeds: tuple[int, ...]
) -> None:
    """Print how well self-confidence ranks wrong labels first."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    hardware = find_hardware()
    head: Head = "fine-tune" if weights == "none" else "linear"
    model = ModelConfig(weights, head=head)
    size = size_in_memory(data, None, model)
    dataset = finish(load(data, image_size=size, cache_dir=home() / "cache"))
    features = finish(frozen_features(model, dataset, hardware)) if head == "linear" else None
    given = np.load(file)[column].astype(np.int64)
    print(f"{date.today()}, {hardware.name}, {column}, {initial:,} labels\n")
    columns = (
        "seed", "wrong", "average precision", "cleanlab: self-confidence", "margin",
        "first 50 wrong", "marked strongly", "of these wrong", "cleanlab marks", "of these wrong",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    config = ExperimentConfig(
        data=data, initial=initial, model=model, train=default_train(data),
        class_names=dataset.train.class_names,
    )  # fmt: skip
    for seed in seeds:
        seeded = replace(config, seed=seed)
        images = initial_images(seeded, len(dataset.train))
        pool = Pool.fold(
            len(dataset.train),
            [Annotation(int(i), int(given[i]), 0, column) for i in images],
        )
        task = RoundTask(seeded, 0, pool, dataset, features)
        said = finish(run_round(task, hardware)).predictions
        assert said is not None
        probs, labels = said.probs[pool.labeled], pool.labels
        wrong = labels != dataset.train.targets[pool.labeled]
        confidence, strong = self_confidence(probs, labels), disagrees_strongly(probs, labels)
        theirs = [
            get_label_quality_scores(labels, probs, method=method)
            for method in ("self_confidence", "normalized_margin")
        ]
        marked = find_label_issues(labels, probs)
        precisions = [average_precision_score(wrong, -one) for one in (confidence, *theirs)]
        print(f"| {seed} | {wrong.mean():.1%} | {' | '.join(f'{one:.3f}' for one in precisions)} "
              f"| {wrong[confidence.argsort()[:50]].mean():.0%} "
              f"| {strong.mean():.1%} | {wrong[strong].mean():.0%} "
              f"| {marked.mean():.1%} | {wrong[marked].mean():.0%} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
