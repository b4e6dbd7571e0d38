"""A round beside its peers: ``python -m benchmarks.round --data PATH_TO_CIFAR10``.

One run, the same images and the same weights of ResNet-18 (torchvision's stem), contestants in
alternating order, medians:

    plain    the loop most people write: a DataLoader of PIL images, batches of 128, fp32
    baal     ModelWrapper.predict_on_dataset as it comes
    skactiveml  scikit-activeml's SkorchClassifier as it comes
    fp32     this project in fp32
    default  this project as it is here

The rate of matrix products is measured in the same run, in the same dtypes. A network's work is
counted as torch counts it for torchvision's ResNet-18, so that whoever leaves out what is not
needed is faster, not busier. The peers are in ``benchmarks/requirements.txt``; one that is not
installed is left out.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from al_core import predict as predicting
from al_core.config import ExperimentConfig, TrainConfig
from al_core.features import Features
from al_core.images import Dataset as Images
from al_core.images import load
from al_core.inference import InferenceNetwork
from al_core.network import Hardware, build, find_hardware
from al_core.pool import Annotation, Pool
from al_core.predict import look_again, predict
from al_core.progress import finish
from al_core.query import choose
from al_core.round import run_round
from al_core.store import home
from al_core.strategies import BY_PROBS
from al_core.train import fit
from benchmarks.peers import Contestant, Pictures, peers, plain_epoch, plain_network, plain_scores

LABELED, ASKED, WIDTH = 1000, 1000, 512
FP32 = Hardware(torch.device("cpu"), torch.float32)


def alternate(contestants: dict[str, Contestant], repeat: int) -> dict[str, list[float]]:
    """Seconds of each, ``repeat`` times, each turn in the other order; a first turn is not
    counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeat + 1):
        for name in list(contestants)[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            contestants[name]()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def matrix_product(dtype: torch.dtype, size: int = 4096) -> Contestant:
    a, b = torch.randn(2, size, size).to(dtype)
    return lambda: a @ b


def work_of(network: nn.Module) -> float:
    """Operations of one image of 32 x 32 pixels, forward."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    return float(counter.get_total_flops())


def spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def rates(dataset: Images, count: int, repeat: int) -> None:
    """Images a second: scoring and training."""
    hardware = find_hardware()
    images, targets = dataset.train.images[:count], dataset.train.targets[:count]
    generator = torch.Generator().manual_seed(0)
    classes = len(dataset.train.class_names)
    network = build(classes, "torchvision", hardware, images, generator)
    pictures, plain = Pictures(images, targets), plain_network(network)
    everything = np.arange(count)

    def ours(on: Hardware) -> Contestant:
        fast = InferenceNetwork(network, on)
        return lambda: finish(predict(fast, images, everything, on, ""))

    contestants = {
        "matrix products, fp32": matrix_product(torch.float32),
        "matrix products, default": matrix_product(hardware.dtype),
        "plain": lambda: plain_scores(plain, pictures),
        **peers(network, pictures),
        "fp32": ours(FP32),
        "default": ours(hardware),
    }
    seconds = alternate(contestants, repeat)
    product = 2 * 4096**3
    best = {
        name: product / statistics.median(seconds[f"matrix products, {name}"])
        for name in ("fp32", "default")
    }
    print(f"\nMatrix products: {best['fp32'] / 1e12:.2f} TFLOP/s in fp32, "
          f"{best['default'] / 1e12:.2f} in {hardware.dtype}\n")  # fmt: skip
    print("| scoring | images a second | times plain | of the matrix products |\n|---|---|---|---|")
    base, work = statistics.median(seconds["plain"]), work_of(plain)
    for name in list(contestants)[2:]:
        median = statistics.median(seconds[name])
        share = f"{count * work / median / best[name]:.2f}" if name in best else ""
        print(f"| {name} | {count / median:,.0f} | {base / median:.2f} | {share} |")

    few = slice(0, min(count, 2048))
    x, y = torch.from_numpy(images[few]), torch.from_numpy(targets[few])
    subset = Pictures(images[few], targets[few])
    once = TrainConfig(epochs=1, min_steps=0, batch_size=64)
    seconds = alternate(
        {
            "plain": lambda: plain_epoch(plain, subset),
            "default": lambda: finish(fit(network, x, y, once, hardware, generator)),
        },
        repeat,
    )
    print("\n| training | images a second | times plain |\n|---|---|---|")
    base = statistics.median(seconds["plain"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"| {name} | {len(y) / median:,.0f} | {base / median:.2f} |")


def chosen(dataset: Images, repeat: int) -> None:
    """Seconds to score the pool and to choose 1,000 of it, and how many are those of fp32."""
    hardware = find_hardware()
    size, images = len(dataset.train), dataset.train.images
    order = np.random.default_rng(0).permutation(size)
    labeled, pool = order[:LABELED], np.sort(order[LABELED:])
    generator = torch.Generator().manual_seed(0)
    classes = len(dataset.train.class_names)
    network = build(classes, "torchvision", hardware, images, generator)
    x, y = (torch.from_numpy(a[labeled]) for a in (images, dataset.train.targets))
    finish(fit(network, x, y, TrainConfig(), hardware, generator))
    unlabeled, everything = images[pool], np.arange(len(pool))
    seconds: dict[str, list[float]] = {}
    found: dict[str, set[int]] = {}

    def choosing(strategy: str, on: Hardware, batch_size: int = predicting.BATCH_SIZE) -> None:
        predicting.BATCH_SIZE = batch_size
        began = time.perf_counter()
        said = finish(predict(InferenceNetwork(network, on), unlabeled, everything, on, ""))
        scored = time.perf_counter()

        finish(look_again(network, unlabeled, said, everything, BY_PROBS[strategy], ASKED, on))
        picks = BY_PROBS[strategy](said.probs).topk(ASKED).indices
        ended = time.perf_counter()
        name = f"{strategy}, {on.dtype}, batches of {batch_size}"
        seconds.setdefault(name, []).append(scored - began)
        seconds.setdefault(f"{name}: choosing", []).append(ended - scored)
        found[name] = set(picks.tolist())

    for turn in range(repeat):
        cases = [
            (strategy, *case)
            for strategy in ("margin", "least_confidence", "entropy")
            for case in ((FP32, 512), (FP32, 200), (hardware, 512))
        ]
        for case in cases[:: 1 if turn % 2 else -1]:
            choosing(*case)
    print(f"\n| {len(pool):,} images | scored, seconds | {ASKED:,} chosen, seconds | "
          "of fp32's |\n|---|---|---|---|")  # fmt: skip
    for name, picks in found.items():
        like = found[f"{name.split(',')[0]}, torch.float32, batches of 512"]
        print(f"| {name} | {spread(seconds[name])} | {spread(seconds[f'{name}: choosing'])} | "
              f"{len(picks & like):,} |")  # fmt: skip


def rounds(dataset: Images, repeat: int) -> None:
    """Whole rounds with 1,000 labels: train, evaluate, score, choose 1,000 by margin."""
    hardware = find_hardware()
    size, classes = len(dataset.train), len(dataset.train.class_names)
    labeled = np.random.default_rng(0).permutation(size)[:LABELED].tolist()
    pool = Pool(
        size, {i: Annotation(i, int(dataset.train.targets[i]), 0, "truth") for i in labeled}
    )
    generator = torch.Generator().manual_seed(0)
    features = Features(
        *(torch.randn(n, WIDTH, generator=generator).half().numpy()
          for n in (size, len(dataset.test))), ""
    )  # fmt: skip
    config = ExperimentConfig(
        class_names=dataset.train.class_names, strategy="margin", per_round=ASKED
    )
    network = build(classes, "torchvision", FP32, dataset.train.images, generator)
    every = [Pictures(part.images, part.targets) for part in (dataset.train, dataset.test)]
    known = Pictures(dataset.train.images[labeled], dataset.train.targets[labeled])

    def plain() -> None:
        net = plain_network(network)
        plain_epoch(net, known)
        net.eval()
        for pictures in every:
            scores = plain_scores(net, pictures)
        scores.topk(2)

    def ours(frozen: Features | None) -> None:
        outcome = finish(run_round(config, 0, pool, dataset, hardware, frozen))
        choose("margin", ASKED, outcome.said, pool, pool.unlabeled, generator, hardware.device)

    seconds = alternate(
        {
            "plain, one epoch": plain,
            "fine-tuning": lambda: ours(None),
            "linear head": lambda: ours(features),
        },
        repeat,
    )
    print(f"\n| round with {LABELED:,} labels, {size:,} images | seconds | times plain |\n"
          "|---|---|---|")  # fmt: skip
    base = statistics.median(seconds["plain, one epoch"])
    for name, times in seconds.items():
        print(f"| {name} | {spread(times)} | {base / statistics.median(times):.1f} |")


@click.command()
@click.option("--data", required=True)
@click.option("--images", default=10_240, show_default=True, help="Scored by each contestant.")
@click.option("--repeat", default=5, show_default=True)
@click.option("--only", type=click.Choice(["rates", "chosen", "rounds"]))
def main(data: str, images: int, repeat: int, only: str | None) -> None:
    """Print what each contestant does in a second, and what a round takes."""
    dataset = finish(load(data, cache_dir=Path(home()) / "cache"))
    print(f"{date.today()}, {find_hardware().name}, {torch.get_num_threads()} threads, "
          f"torch {torch.__version__}, Python {platform.python_version()}, "
          f"medians of {repeat}")  # fmt: skip
    if only in (None, "rates"):
        rates(dataset, images, repeat)
    if only in (None, "chosen"):
        chosen(dataset, repeat)
    if only in (None, "rounds"):
        rounds(dataset, repeat)


if __name__ == "__main__":
    main()
