"""Whether class names help a head, and never much harm it: ``python -m benchmarks.words``.

No tower for texts is needed: names are directions in the space of an encoder's embeddings. Here
those are the means of the classes, of all images to train on with their truth, turned towards
chance, so that they tell so many test images as they are asked to: words that know little, much,
or nothing. A linear head, the words, and both together are measured on random labels.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from al_core.config import ExperimentConfig, ModelConfig
from al_core.experiment.pool import Pool
from al_core.features.embed import embed
from al_core.features.encoders.find import encoder_of
from al_core.features.read import Features
from al_core.features.words import Words
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.loop.learners import RoundTask
from al_core.loop.round import run_round
from al_core.models.hardware import CPU, find_hardware
from al_core.progress import finish
from al_core.seeds import generator, numpy_generator
from al_core.store.records import TRUTH, Annotation
from benchmarks.few_labels import cells

SCALE = 100.0  # as CLIP's
SHARES = (0.0, 0.3, 0.5, 0.7, 0.9)
STEPS = 20  # of looking how far names are to be turned towards chance


def words_that_know(share: float, dataset: Dataset, features: Features, seed: int) -> Words:
    """Names that tell about this ``share`` of the test images; at 0, chance alone."""
    means = directions_of(dataset, features)
    chance = F.normalize(torch.randn(means.shape, generator=generator(seed, "names")), dim=1)
    truth, test = torch.tensor(dataset.test.targets), torch.from_numpy(features.test)
    low, high = 0.0, 1.0
    for _ in range(STEPS if share else 1):
        of_chance = (low + high) / 2 if share else 1.0
        words = Words(F.normalize((1 - of_chance) * means + of_chance * chance, dim=1), SCALE)
        right = (words.logits(test).argmax(1) == truth).float().mean().item()
        low, high = (of_chance, high) if right > share else (low, of_chance)
    return words


def directions_of(dataset: Dataset, features: Features) -> Tensor:
    """The mean direction of each class, less that of all."""
    rows = F.normalize(torch.from_numpy(features.train).float(), dim=1)
    targets = torch.tensor(dataset.train.targets)
    means = torch.stack([rows[targets == one].mean(0) for one in range(int(targets.max()) + 1)])
    return F.normalize(means - rows.mean(0), dim=1)


def accuracy(
    dataset: Dataset, features: Features, words: Words | None, order: NDArray[np.int64], count: int
) -> tuple[float, float]:
    """Of a head on so many labels, beside words if there are some, and of the words alone."""
    config = ExperimentConfig(class_names=dataset.train.class_names)
    answers = {
        image: Annotation(image, int(dataset.train.targets[image]), 0, TRUTH)
        for image in order[:count].tolist()
    }
    pool = Pool(len(dataset.train), answers)
    task = RoundTask(config, 0, pool, dataset, features, words, scoring=False)
    metrics = finish(run_round(task, CPU)).record.metrics or {}
    return metrics["accuracy"], metrics.get("words", {}).get("accuracy", np.nan)


@click.command()
@click.option("--data", required=True)
@click.option("--weights", required=True, help="A file of an encoder's, or timm/NAME.")
@click.option("--labels", default="20,50,100,200,400", show_default=True)
@click.option("--seeds", default=10, show_default=True)
@click.option(
    "--share",
    "shares",
    multiple=True,
    default=SHARES,
    show_default=True,
    help="Of the test images that the words tell.",
)
def main(data: str, weights: str, labels: str, seeds: int, shares: tuple[float, ...]) -> None:
    """Print a table: the head alone, then for words that know more and more, these and both."""
    counts = [int(n) for n in labels.split(",")]
    dataset = finish(load(data, image_size=64, cache_dir=home() / "cache"))
    encoder = finish(encoder_of(ModelConfig(weights, head="linear"), dataset.learned_for))
    folder = Path(home() / "cache" / "features" / f"{encoder.digest}-{encoder.square.size}")
    features = finish(embed(dataset, encoder, find_hardware(), folder))
    orders = [
        numpy_generator(seed, "order").permutation(len(dataset.train)) for seed in range(seeds)
    ]
    print(f"{date.today()}, {len(dataset.train)} images to label, {len(dataset.test)} test images, "
          f"{seeds} orders at random\n")  # fmt: skip
    print("| words alone | |" + "".join(f" {n} labels |" for n in counts))
    print("|---|---|" + "---|" * len(counts))

    def several(words: list[Words | None]) -> tuple[NDArray[np.float64], float]:
        found = np.array([
            [accuracy(dataset, features, one, order, n) for n in counts]
            for one, order in zip(words, orders, strict=True)
        ])  # fmt: skip
        return found[..., 0], float(found[..., 1].mean())

    head, _ = several([None] * seeds)
    print(f"| none | the head alone | {' | '.join(cells(head))} |", flush=True)
    for share in shares:
        names = [words_that_know(share, dataset, features, seed) for seed in range(seeds)]
        both, alone = several([*names])
        print(f"| {alone:.1%} | both | {' | '.join(cells(both))} |")
        gained = " | ".join(f"{100 * gain:+.1f}" for gain in (both - head).mean(0))
        print(f"| | both less the head alone | {gained} |", flush=True)


if __name__ == "__main__":
    main()
