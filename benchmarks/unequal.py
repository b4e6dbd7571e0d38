"""Classes of unequal size: ``python -m benchmarks.unequal --data FOLDER``.

For each ``--strategy`` and ``--class-weights``, runs ``--seeds`` simulations as ``python -m al_core
simulate`` does: stopped anywhere, the same command goes on. Prints what the first and the last
round measure on the test set. ``--long-tail 100`` is for CIFAR-10 in parquet: the first class keeps
its training images, the last a hundredth of them, and the others lie between (Cui et al.,
“Class-balanced loss based on effective number of samples”, 2019); the test set stays as it is.
"""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from al_core.config import ExperimentConfig, ModelConfig, default_train
from al_core.features.embed import features_of
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.models.hardware import find_hardware
from al_core.models.metrics import class_recall
from al_core.progress import finish
from al_core.seeds import numpy_generator
from al_core.simulation.on_disk import Simulation, open_simulation
from al_core.simulation.runner import jobs_that_fit, run_all
from al_core.strategies.registry import titled


def long_tailed(source: str, factor: float) -> str:
    """Write a copy in which each class has fewer training images than the one before it."""
    import pyarrow.parquet as pq

    folder = home() / f"long-tail-{factor:g}"
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(Path(source).glob("*.parquet")):
        table = pq.read_table(file)
        if file.name.startswith("train"):
            labels = table["label"].to_numpy()
            counts = np.bincount(labels)
            kept = counts.max() * factor ** (-np.arange(len(counts)) / (len(counts) - 1))
            order = numpy_generator(0, "long tail").permutation(len(labels))
            of_class = [order[labels[order] == c][: int(n)] for c, n in enumerate(kept)]
            table = table.take(np.sort(np.concatenate(of_class)))
        pq.write_table(table, folder / file.name)
    return str(folder)


def figures(metrics: dict[str, Any]) -> tuple[float, ...]:
    """Accuracy and mean recall in per cent, how many classes with test images are never
    recognised, the negative log-likelihood in nats, and the expected calibration error."""
    recall = class_recall(metrics["confusion"])
    shares = 100 * metrics["accuracy"], 100 * float(np.nanmean(recall))
    return *shares, float((recall == 0).sum()), metrics["nll"], metrics["ece"]


def measured(simulations: list[Simulation]) -> dict[int, NDArray[np.float64]]:
    """The figures of all of them, ``[simulations, 5]``, by number of labels, first and last."""
    config = simulations[0].config
    dataset = finish(load(config.data, cache_dir=home() / "cache"))
    features = finish(features_of(config, dataset, find_hardware()))
    found: dict[int, list[tuple[float, ...]]] = {}
    for one in simulations:
        store, experiment = open_simulation(one, dataset, features.digest if features else "")
        with closing(store):
            for record in {0: experiment.rounds[0], 1: experiment.rounds[-1]}.values():
                found.setdefault(record.labeled, []).append(figures(record.metrics or {}))
    return {labels: np.array(rows) for labels, rows in found.items()}


@click.command()
@click.option("--data", required=True)
@click.option("--strategy", "strategies", multiple=True, show_default=True,
              default=("random", "least_confidence", "margin", "badge"))  # fmt: skip
@click.option("--class-weights", "weighted", multiple=True, default=("off",), show_default=True)
@click.option("--seeds", default=5, show_default=True, help="So many runs of each, from seed 0 on.")
@click.option("--initial", default=100, show_default=True)
@click.option("--per-round", default=20, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--weights", help="A linear head on the features of these.")
@click.option("--long-tail", type=float, help="The factor between the largest and smallest class.")
@click.option("--jobs", type=int)
def main(
    data: str,
    strategies: tuple[str, ...],
    weighted: tuple[str, ...],
    seeds: int,
    initial: int,
    per_round: int,
    rounds: int,
    weights: str | None,
    long_tail: float | None,
    jobs: int | None,
) -> None:
    """Print a table, a row for each number of labels, strategy and setting of class weights."""
    data = long_tailed(data, long_tail) if long_tail else data
    plain = default_train(data)
    simulations = {
        (strategy, one): [
            Simulation(
                ExperimentConfig(
                    data=data, strategy=strategy, initial=initial, per_round=per_round,
                    rounds=rounds, seed=seed,
                    model=ModelConfig(weights, head="linear") if weights else ModelConfig(),
                    train=plain if one == "off" else replace(plain, class_weights=one),
                )
            )
            for seed in range(seeds)
        ]
        for strategy, one in itertools.product(strategies, weighted)
    }  # fmt: skip
    everything = [one for several in zip(*simulations.values(), strict=True) for one in several]
    for _ in run_all(everything, jobs or jobs_that_fit(len(everything))):
        pass
    print(f"{date.today()}, {seeds} seeds, mean ± standard deviation\n")
    print("| labels | strategy | class weights | accuracy | balanced | never | NLL | ECE |")
    print("|---|---|---|---|---|---|---|---|")
    rows = [
        (labels, strategy, one, values)
        for (strategy, one), several in simulations.items()
        for labels, values in measured(several).items()
    ]
    for labels, strategy, one, values in sorted(rows, key=lambda row: row[0]):
        mean, spread = values.mean(0), values.std(0, ddof=1) if seeds > 1 else values[0] * np.nan
        cells = [
            f"{m:.{d}f} ± {s:.{d}f}" for m, s, d in zip(mean, spread, (1, 1, 1, 2, 2), strict=True)
        ]
        print(f"| {labels:,} | {titled(strategy)} | {one} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
