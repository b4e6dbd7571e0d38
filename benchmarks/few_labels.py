"""What labels are worth on an encoder's frozen features: ``python -m benchmarks.few_labels --data
FOLDER --weights FILE``.

For each ``--strategy`` and seed the labels grow as ``--labels`` says. A linear head is fit at each
of these points as a round of the desk does it, measured on the test set, and chooses the images
that come next. What comes before any label is chosen by embeddings alone, and at random for a
strategy that needs a model: the same images for all of them. ``--peers`` adds TypiClust and BADGE
of scikit-activeml on the same embeddings, as its tutorials use them: not standardised, and with
scikit-learn's logistic regression as BADGE's classifier. They choose, and our head is measured. Of
more unlabelled images than 5,000 they see a random 5,000, as time and memory grow with each.

``--compare-dtypes`` computes the embeddings in bf16, and in fp32 in batches of 16 and of 64. Each
seed takes another random four fifths of the pool. It prints by how much the accuracy differs from
that of fp32 in batches of 16, with its 95% interval, and how many of the chosen images are alike.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from al_core.analysis.comparison import in_words, judge
from al_core.analysis.curves import Curve
from al_core.config import ExperimentConfig, ModelConfig, size_in_memory
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import BEFORE, PoolPredictions
from al_core.features.embed import frozen_features
from al_core.features.encoders.encoder import Encoder
from al_core.features.encoders.find import encoder_of
from al_core.features.read import Features
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.images.streaming import Stream
from al_core.loop.learners import RoundTask
from al_core.loop.query import Choice, choose
from al_core.loop.round import run_round
from al_core.models.hardware import CPU, Hardware
from al_core.models.metrics import class_recall
from al_core.progress import finish
from al_core.seeds import numpy_generator, seed_of
from al_core.store.records import TRUTH, Annotation
from al_core.strategies.registry import STRATEGIES, titled

SIX = ("random", "typiclust", "maxherding", "margin", "badge", "uherding")
THEIR_TYPICLUST, THEIR_BADGE = PEERS = ("TypiClust (scikit-activeml)", "BADGE (scikit-activeml)")
SHOWN = 5000  # unlabelled images that a peer sees; BADGE takes 0.1 MB for each
WAYS = {
    "fp32, 16 at a time": (torch.float32, 16),
    "fp32, 64 at a time": (torch.float32, 64),
    "bf16, 16 at a time": (torch.bfloat16, 16),
}
SHARE = 0.8  # of the pool, for each seed, where ways to embed are compared


@dataclass(frozen=True, slots=True)
class Growth:
    """One strategy with one seed: accuracy and mean recall at each number of labels, shares, and
    the images in the order in which they were chosen."""

    accuracy: list[float]
    balanced: list[float]
    chosen: list[int]


Grow = Callable[[str, int], Growth]  # by a strategy, with a seed


def grown(
    dataset: Dataset,
    features: Features,
    who: tuple[str, int],
    labels: list[int],
    share: float = 1.0,
) -> Growth:
    """Label the images that a strategy chooses, ``who`` being its name and the seed, as many as
    ``labels`` says each time, among a random ``share`` of the pool."""
    strategy, seed = who
    config = ExperimentConfig(seed=seed, class_names=dataset.train.class_names)
    size, classes = len(dataset.train), len(config.class_names)
    even = np.full((size, classes), 1 / classes, dtype=np.float32)
    predictions = PoolPredictions(BEFORE, even, features.train)
    answers: dict[int, Annotation] = {}
    drawn = numpy_generator(seed, "share of the pool").permutation(size)[: int(share * size)]
    growth = Growth([], [], [])
    for number, count in enumerate(labels):
        pool, asked = Pool(size, answers), count - len(answers)
        name = strategy if number or starts(strategy) else "random"
        choice = Choice(name, asked, number, seed)
        if choice.strategy in PEERS:
            images = chosen_by_peer(choice, features.train, pool, classes)
        else:
            among = np.intersect1d(pool.unlabeled, drawn)
            images, _ = choose(choice, predictions, pool, among, CPU.device)
        growth.chosen.extend(images.tolist())
        targets = dataset.train.targets[images].tolist()
        for image, target in zip(images.tolist(), targets, strict=True):
            answers[image] = Annotation(image, target, number, TRUTH)
        task = RoundTask(config, number, Pool(size, answers), dataset, features)
        outcome = finish(run_round(task, CPU))
        assert outcome.predictions is not None
        predictions, metrics = outcome.predictions, outcome.record.metrics or {}
        growth.accuracy.append(metrics["accuracy"])
        growth.balanced.append(float(np.nanmean(class_recall(metrics["confusion"]))))
    return growth


def starts(strategy: str) -> bool:
    """Whether it can choose before there is a label."""
    return strategy == THEIR_TYPICLUST or (strategy in STRATEGIES and STRATEGIES[strategy].starts)


def chosen_by_peer(
    choice: Choice, embeddings: NDArray[np.float16], pool: Pool, classes: int
) -> NDArray[np.int64]:
    """What scikit-activeml chooses, of an even sample where there is more than it can take."""
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import Badge, TypiClust
    from sklearn.linear_model import LogisticRegression

    chance = numpy_generator(choice.seed, "shown to a peer", choice.number)
    some = chance.permutation(pool.unlabeled)[: max(SHOWN, choice.n)]
    shown = np.append(pool.labeled, some)
    x, y = embeddings[shown].astype(np.float32), np.append(pool.labels, np.full(len(some), np.nan))
    seed = seed_of(choice.seed, "peer", choice.number) % 2**31
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a hundred steps, which the regression would exceed
        if choice.strategy == THEIR_TYPICLUST:
            picks = TypiClust(random_state=seed).query(x, y, batch_size=choice.n)
        else:
            model = SklearnClassifier(LogisticRegression(), classes=range(classes))
            picks = Badge(random_state=seed).query(x, y, clf=model, batch_size=choice.n)
    return shown[np.asarray(picks)]


def embedded(dataset: Dataset, encoder: Encoder, dtype: torch.dtype, at_once: int) -> Features:
    """Features computed so many ``at_once``, as :mod:`al_core.features.embed` does but for that."""
    network = encoder.build(Hardware(torch.device("cpu"), dtype))
    parts = []
    for images in dataset.splits:
        blocks, stream = [], Stream(images, dataset.pictures, encoder.square)
        for start in range(0, len(images), at_once):
            pixels = stream.pixels(range(start, min(start + at_once, len(images))))
            whole = pixels[np.arange(at_once) % len(pixels)]
            with torch.inference_mode():
                embeddings = network.embed(torch.from_numpy(whole))
            blocks.append(embeddings[: len(pixels)].half().numpy())
        parts.append(np.concatenate(blocks))
    return Features(*parts, f"{dtype}, {at_once}")


def cells(values: NDArray[np.float64]) -> list[str]:
    """Mean and standard deviation over the seeds, in per cent, of shares ``[seeds, points]``."""
    spread = values.std(0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
    return [f"{100 * m:.1f} ± {100 * s:.1f}" for m, s in zip(values.mean(0), spread, strict=True)]


def print_growth(strategies: list[str], labels: list[int], seeds: int, grow: Grow) -> None:
    """A table of what each strategy reaches, a row as soon as it is there, and what it says."""
    print("| strategy | measure |" + "".join(f" {n:,} labels |" for n in labels))
    print("|---|---|" + "---|" * len(labels))
    curves: dict[str, list[Curve]] = {"accuracy": [], "balanced": []}
    for strategy in strategies:
        several = [grow(strategy, seed) for seed in range(seeds)]
        for measure, found in curves.items():
            values = [getattr(one, measure) for one in several]
            found += [
                Curve(titled(strategy), seed, tuple(labels), tuple(own))
                for seed, own in enumerate(values)
            ]
            title = titled(strategy) if measure == "accuracy" else ""
            row = " | ".join(cells(np.array(values)))
            print(f"| {title} | {measure} | {row} |", flush=True)
    for measure, found in curves.items():
        if verdict := judge(found, "labeled", against=titled("random")):
            print(f"\nBy {measure}, each against random:\n")
            for comparison in verdict.comparisons:
                print(f"- {in_words(comparison, verdict)}")


def print_dtypes(
    strategies: list[str], labels: list[int], seeds: int, ways: dict[str, Grow]
) -> None:
    """A table of the accuracy by the first of ``ways``, by how much each other one differs, with
    its 95% interval, and what share of the images both choose. Each seed has a pool of its own, a
    SHARE of the whole, since some strategies leave nothing to chance."""
    base, *others = ways
    print(f"| strategy | {base} |" + "".join(f" {n:,} labels |" for n in labels)
          + " mean over the range |")  # fmt: skip
    print("|---|---|" + "---|" * (len(labels) + 1))
    for strategy in strategies:
        first = [ways[base](strategy, seed) for seed in range(seeds)]
        shares = np.array([one.accuracy for one in first])
        print(f"| {titled(strategy)} | accuracy | {' | '.join(cells(shares))} | |", flush=True)
        for way in others:
            several = [ways[way](strategy, seed) for seed in range(seeds)]
            apart = np.array([one.accuracy for one in several]) - shares
            told = [difference(column) for column in [*apart.T, apart.mean(1)]]
            pairs = list(zip(several, first, strict=True))
            alike = [np.mean([len({*x.chosen[:n]} & {*y.chosen[:n]}) / n for x, y in pairs])
                     for n in labels]  # fmt: skip
            row = [f"{one}, {100 * s:.0f}% alike" for one, s in zip(told, alike, strict=False)]
            print(f"| | {way} | {' | '.join([*row, told[-1]])} |", flush=True)


def difference(apart: NDArray[np.float64]) -> str:
    """The mean of paired differences, shares, in points, and half of its 95% interval."""
    half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / len(apart) ** 0.5
    return f"{100 * apart.mean():+.1f} ± {100 * half:.1f}"


@click.command()
@click.option("--data", required=True)
@click.option("--weights", required=True, help="A file of an encoder's, or timm/NAME.")
@click.option("--architecture", default="", help="Timm's name for it, where the file has none.")
@click.option("--strategy", "strategies", multiple=True, default=SIX, show_default=True)
@click.option("--labels", default="20,50,100,200,400", show_default=True)
@click.option("--seeds", default=5, show_default=True, help="So many runs of each, from seed 0 on.")
@click.option("--peers", is_flag=True, help="TypiClust and BADGE of scikit-activeml too.")
@click.option("--compare-dtypes", is_flag=True, help="Embeddings in bf16 and in fp32.")
def main(
    data: str,
    weights: str,
    architecture: str,
    strategies: tuple[str, ...],
    labels: str,
    seeds: int,
    peers: bool,
    compare_dtypes: bool,
) -> None:
    """Print a table: test accuracy and mean recall in per cent, and their spread over the seeds."""
    counts = [int(n) for n in labels.split(",")]
    model = ModelConfig(weights, head="linear", architecture=architecture)
    size = size_in_memory(data, None, model)
    dataset = finish(load(data, image_size=size, cache_dir=home() / "cache"))
    every = [*strategies, *(PEERS if peers else ())]

    def by(features: Features) -> Grow:
        def grow(strategy: str, seed: int) -> Growth:
            began = time.perf_counter()
            share = SHARE if compare_dtypes else 1.0
            growth = grown(dataset, features, (strategy, seed), counts, share)
            print(f"{strategy}, seed {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
            return growth

        return grow

    print(f"{date.today()}, {len(dataset.train):,} images to label, {len(dataset.test):,} to test; "
          f"{seeds} seeds, mean ± standard deviation\n")  # fmt: skip
    if compare_dtypes:
        encoder = finish(encoder_of(model, dataset.learned_for))
        ways = {name: by(embedded(dataset, encoder, *how)) for name, how in WAYS.items()}
        print_dtypes(every, counts, seeds, ways)
    else:
        features = finish(frozen_features(model, dataset, CPU))
        print_growth(every, counts, seeds, by(features))


if __name__ == "__main__":
    main()
