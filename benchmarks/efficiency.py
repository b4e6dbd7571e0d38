"""What a label is worth, strategy by strategy: ``python -m benchmarks.efficiency --data CIFAR10``.

Runs each ``--strategy`` with ``--seeds`` seeds, as ``python -m al_core simulate`` does: stopped
anywhere, the same command goes on. Prints the mean and the standard deviation of the test accuracy
at each number of labels, the area under the curve, and which differences are more than chance.
"""

from __future__ import annotations

import itertools
from datetime import date
from pathlib import Path

import click
import numpy as np

from al_core.analysis.comparison import in_words, judge, summary
from al_core.analysis.curves import Curve
from al_core.config import ExperimentConfig, ModelConfig, default_train
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.progress import Progress, finish
from al_core.simulation.on_disk import Simulation
from al_core.simulation.runner import jobs_that_fit, run_all
from al_core.simulation.simulate import Row
from al_core.strategies.registry import STRATEGIES, titled

FIVE = ("random", "least_confidence", "margin", "badge", "uherding")


def grey_pixels(data: str) -> Path:
    """Write the images, 8 x 8 and grey, as embeddings; for sources of 32 x 32 pixels."""
    dataset = finish(load(data, cache_dir=home() / "cache"))
    path = home() / f"pixels-{dataset.fingerprint[:12]}.npz"
    small = {
        name: images.images.reshape(len(images), 3, 8, 4, 8, 4).mean((1, 3, 5), dtype=np.float32)
        for name, images in (("train", dataset.train), ("test", dataset.test))
    }
    np.savez(path, **{name: each.reshape(len(each), -1) / 255 for name, each in small.items()})
    return path


@click.command()
@click.option("--data", required=True)
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    default=FIVE,
    show_default=True,
    help="Repeatable; “all” for every one.",
)
@click.option("--seeds", default=5, show_default=True, help="So many runs of each, from seed 0 on.")
@click.option("--initial", default=1000, show_default=True)
@click.option("--per-round", default=1000, show_default=True)
@click.option("--rounds", default=2, show_default=True)
@click.option("--start", default="random", show_default=True)
@click.option("--annotator", default="truth", show_default=True)
@click.option("--embeddings", type=click.Path(path_type=Path), help="What embed writes.")
@click.option("--pixels", is_flag=True, help="A linear head on the images' own 8 x 8 grey pixels.")
@click.option("--jobs", type=int)
def main(
    data: str,
    strategies: tuple[str, ...],
    seeds: int,
    initial: int,
    per_round: int,
    rounds: int,
    start: str,
    annotator: str,
    embeddings: Path | None,
    pixels: bool,
    jobs: int | None,
) -> None:
    """Print the table of a simulation and what it says."""
    if "all" in strategies:
        strategies = tuple(STRATEGIES)
    if pixels:
        embeddings = grey_pixels(data)
    model = ModelConfig()
    if embeddings:
        model = ModelConfig(head="linear", embeddings=str(embeddings.absolute()))
    simulations = [
        Simulation(
            ExperimentConfig(
                data=data, strategy=strategy, seed=seed, initial=initial, per_round=per_round,
                rounds=rounds, start=start, train=default_train(data), model=model,
            ),
            annotator,
        )
        for seed, strategy in itertools.product(range(seeds), strategies)
    ]  # fmt: skip
    found: dict[tuple[str, int], list[Row]] = {}
    for report in run_all(simulations, jobs or jobs_that_fit(len(simulations))):
        if not isinstance(report, Progress):
            found.setdefault((report.strategy, report.seed), []).append(report)
    curves = [
        Curve(
            titled(strategy),
            seed,
            tuple(row.labeled for row in rows),
            tuple(row.test_accuracy or 0.0 for row in rows),
        )
        for (strategy, seed), rows in found.items()
    ]
    who = annotator.rpartition(":")[2]
    print(f"{date.today()}, annotator {who}, {seeds} seeds; test accuracy, mean and "
          "standard deviation\n")  # fmt: skip
    labels = [row.labeled for row in next(iter(found.values()))]
    print("| strategy |" + "".join(f" {n:,} labels |" for n in labels) + " mean over the range |")
    print("|---|" + "---|" * (len(labels) + 1))
    verdict = judge(curves, "labeled", against=titled("random"))
    assert verdict is not None
    for row in summary(verdict, curves).itertuples():
        own = np.array([curve.accuracy for curve in curves if curve.name == row.name])
        spread = own.std(0, ddof=1) if len(own) > 1 else np.full(own.shape[1], np.nan)
        cells = [
            f" {100 * m:.1f} ± {100 * s:.1f} |" for m, s in zip(own.mean(0), spread, strict=True)
        ]
        print(f"| {row.name} |{''.join(cells)} {100 * row.area:.2f} ± {100 * row.sd:.2f} |")
    print()
    for comparison in verdict.comparisons:
        print(f"- {in_words(comparison, verdict)}")


if __name__ == "__main__":
    main()
