"""What features are worth: ``python -m benchmarks.features --data CIFAR10 --weights FILE``.

On the test set, whose truth they are not told: the share that the nearest neighbours among all
training images classify right, and that a linear head does, on all labels and on some drawn at
random (mean and standard deviation over draws).
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from al_core.config import ModelConfig
from al_core.features.embed import frozen_features
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.models.hardware import find_hardware
from al_core.models.learned_weights import card
from al_core.models.linear_heads import cross_validate, fit_heads
from al_core.models.neighbours import by_neighbours
from al_core.progress import finish
from benchmarks.efficiency import grey_pixels

NEIGHBOURS = 20
FEW = (10, 100, 1000)


def accuracy_of_head(train: Tensor, test: Tensor, y: Tensor, truth: Tensor) -> float:
    classes, generator = int(truth.max()) + 1, torch.Generator().manual_seed(0)
    some = torch.randperm(len(y), generator=generator)[:5000]
    penalty = cross_validate(train[some], y[some], classes, generator).penalty
    penalty *= len(some) / len(y)  # the more labels, the less it takes
    head = fit_heads(train, y, classes, torch.ones(1, len(y)), torch.tensor([penalty]))
    return (head.logits(test)[0].argmax(1) == truth).float().mean().item()


def sources(
    data: str, dataset: Dataset, weights: tuple[str, ...]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Names and embeddings, train and test."""
    with np.load(grey_pixels(data)) as pixels:
        yield "8 x 8 grey pixels", pixels["train"], pixels["test"]
    for name in weights:
        features = finish(
            frozen_features(ModelConfig(name, head="linear"), dataset, find_hardware(), 32)
        )
        yield Path(name).name, features.train, features.test


@click.command()
@click.option("--data", required=True)
@click.option("--weights", multiple=True, help="Repeatable.")
@click.option("--draws", default=5, show_default=True)
def main(data: str, weights: tuple[str, ...], draws: int) -> None:
    """Print a table, a row for each of the weights."""
    dataset = finish(load(data, cache_dir=Path(home()) / "cache"))
    y, truth = (torch.tensor(part.targets) for part in (dataset.train, dataset.test))
    print(f"{date.today()}, {find_hardware().name}, torch {torch.__version__}, "
          f"Python {platform.python_version()}\n")  # fmt: skip
    for name in filter(lambda name: Path(name).exists(), weights):
        print(f"{Path(name).name}: {card(Path(name))}\n")
    labels = "".join(f" {n:,} labels |" for n in FEW)
    print(f"| features | {NEIGHBOURS} nearest neighbours |{labels} all labels |")
    print("|---|---|" + "---|" * (len(FEW) + 1))
    for name, *parts in sources(data, dataset, weights):
        train, test = (torch.from_numpy(np.asarray(part)) for part in parts)
        said = by_neighbours(test, train, y, NEIGHBOURS)
        cells = [f"{(said == truth).float().mean().item():.1%}"]
        for n in FEW:
            drawn = [np.random.default_rng(i).permutation(len(y))[:n] for i in range(draws)]
            own = [accuracy_of_head(train[some], test, y[some], truth) for some in drawn]
            cells.append(f"{100 * np.mean(own):.1f} ± {100 * np.std(own, ddof=1):.1f}")
        cells.append(f"{accuracy_of_head(train, test, y, truth):.1%}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
