"""A round beside its peers: ``python -m benchmarks.round --data PATH_TO_CIFAR10``.

One run, the same images and the same weights of ResNet-18 (torchvision's stem, trained on 1,000
labels), contestants in alternating order, medians:

    plain    the loop most people write: a DataLoader of PIL images, batches of 128, fp32
    baal     ModelWrapper.predict_on_dataset and its heuristic for margins, as they come
    skactiveml  scikit-activeml's SkorchClassifier and its margin sampling, as they come
    fp32     this project in fp32
    default  this project as it is here
    linear head  the same on frozen features, which here are random

Everybody scores the unlabelled images, and chooses 1,000 by margin of what it said; ours in bf16
includes looking again, in fp32, at those near the line. A round trains on 1,000 labels (plain: one
epoch), evaluates on the test set, scores every image and chooses 1,000.

The rate of matrix products is measured in the same run, in the same dtypes. A network's work is
counted as torch counts it for torchvision's ResNet-18, so that whoever leaves out what is not
needed is faster, not busier. The peers are in ``benchmarks/requirements.txt``; one that is not
installed is left out.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.pool import Pool
from al_core.features.read import Features
from al_core.files.paths import home
from al_core.images.dataset import Dataset as Images
from al_core.images.dataset_cache import load
from al_core.loop.learners import RoundTask
from al_core.loop.query import Choice, choose
from al_core.loop.round import run_round
from al_core.loop.scoring import look_again
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.network import Network, build
from al_core.models.prediction import Predictions, predict
from al_core.models.training import fit
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.strategies.uncertainty import margin
from benchmarks.peers import (
    ASKED,
    Peer,
    Pictures,
    installed_peers,
    plain,
    plain_epoch,
    plain_network,
)

LABELED, WIDTH, SIZE = 1000, 512, 4096
Trial = Callable[[], list[float]]  # seconds of its parts, one after another


def alternate(trials: dict[str, Trial], repeat: int) -> dict[str, list[list[float]]]:
    """Seconds of each part of each trial, ``repeat`` of them, each turn in the other order; a first
    turn is not counted."""
    turns: dict[str, list[list[float]]] = {name: [] for name in trials}
    for turn in range(repeat + 1):
        for name in list(trials)[:: 1 if turn % 2 else -1]:
            seconds = trials[name]()
            print(f"{turn} {name}: {', '.join(f'{s:.2f}' for s in seconds)}", flush=True)
            if turn:
                turns[name].append(seconds)
    return {name: [list(part) for part in zip(*taken, strict=True)]
            for name, taken in turns.items()}  # fmt: skip


def timed(work: Callable[[], object]) -> Trial:
    def trial() -> list[float]:
        start = time.perf_counter()
        work()
        return [time.perf_counter() - start]

    return trial


def scores_and_chooses(peer: Peer) -> Trial:
    def trial() -> list[float]:
        start = time.perf_counter()
        said = peer.score()
        scored = time.perf_counter()
        peer.choose(said)
        return [scored - start, time.perf_counter() - scored]

    return trial


def ours(network: Network, images: np.ndarray, hardware: Hardware) -> Peer:
    fast, everything = InferenceNetwork(network, hardware), np.arange(len(images))

    def chosen(said: Predictions) -> object:
        finish(look_again(network, images, said, everything, margin, ASKED, hardware))
        return margin(said.probs).topk(ASKED)

    return Peer(lambda: finish(predict(fast, images, everything, hardware, "")), chosen)


def matrix_product(on: Hardware) -> Trial:
    a, b = torch.randn(2, SIZE, SIZE).to(on.device, on.dtype)
    return timed(lambda: (a @ b)[0, 0].item())  # which waits for a GPU


def work_of(network: nn.Module) -> float:
    """Operations of one image of 32 x 32 pixels, forward."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    return float(counter.get_total_flops())


def rounds(
    dataset: Images, network: Network, labeled: np.ndarray, hardware: Hardware
) -> dict[str, Trial]:
    """Whole rounds: train, evaluate, score, choose by margin."""
    size, targets = len(dataset.train), dataset.train.targets
    pool = Pool(size, {i: Annotation(i, int(targets[i]), 0, "truth") for i in labeled.tolist()})
    generator = torch.Generator().manual_seed(0)
    random = (torch.randn(n, WIDTH, generator=generator) for n in (size, len(dataset.test)))
    features = Features(*(rows.half().numpy() for rows in random), "")
    names = dataset.train.class_names
    config = ExperimentConfig(class_names=names, strategy="margin", per_round=ASKED)
    every = [Pictures(part.images, part.targets) for part in (dataset.test, dataset.train)]
    known = Pictures(dataset.train.images[labeled], targets[labeled])

    def of_plain() -> None:
        net = plain_network(network)
        plain_epoch(net, known)
        for pictures in every:  # what was said of the test set is compared in no time
            peer = plain(net, pictures)
            said = peer.score()
        peer.choose(said)

    def of_ours(frozen: Features | None) -> None:
        outcome = finish(run_round(RoundTask(config, 0, pool, dataset, frozen), hardware))
        of_pool = outcome.predictions
        choose(Choice("margin", ASKED), of_pool, pool, pool.unlabeled, hardware.device)

    return {
        "plain": timed(of_plain),
        "default": timed(lambda: of_ours(None)),
        "linear head": timed(lambda: of_ours(features)),
    }


@click.command()
@click.option("--data", required=True)
@click.option("--images", default=49_000, show_default=True, help="Scored by each contestant.")
@click.option("--repeat", default=5, show_default=True)
def main(data: str, images: int, repeat: int) -> None:
    """Print what each contestant does in a second, and what a round takes."""
    hardware = find_hardware()
    dataset = finish(load(data, cache_dir=Path(home()) / "cache"))
    pixels, targets = dataset.train.images, dataset.train.targets
    print(f"{date.today()}, {hardware.name}, {torch.get_num_threads()} threads, "
          f"torch {torch.__version__}, Python {platform.python_version()}, "
          f"medians of {repeat}", flush=True)  # fmt: skip
    order = np.random.default_rng(0).permutation(len(pixels))
    labeled, unlabeled = order[:LABELED], np.sort(order[LABELED:])[:images]
    generator = torch.Generator().manual_seed(0)
    classes = len(dataset.train.class_names)
    network = build(classes, "torchvision", hardware, pixels, generator)
    x, y = (torch.from_numpy(rows[labeled]).to(hardware.device) for rows in (pixels, targets))
    finish(fit(network, x, y, TrainConfig(), hardware, generator))

    pool = pixels[unlabeled]
    contestants = {
        **installed_peers(network, Pictures(pool, targets[unlabeled])),
        "fp32": ours(network, pool, hardware.exact),
        "default": ours(network, pool, hardware),
    }
    scored = alternate(
        {
            "matrix products, fp32": matrix_product(hardware.exact),
            "matrix products, default": matrix_product(hardware),
            **{name: scores_and_chooses(peer) for name, peer in contestants.items()},
        },
        repeat,
    )
    # Copies, since training changes them.
    own = build(classes, "torchvision", hardware, pixels, generator)
    plain_one, known = plain_network(network), Pictures(pixels[labeled], targets[labeled])
    once = TrainConfig(epochs=1, min_steps=0, batch_size=64)
    trained = alternate(
        {
            "plain": timed(lambda: plain_epoch(plain_one, known)),
            "default": timed(lambda: finish(fit(own, x, y, once, hardware, generator))),
        },
        repeat,
    )
    whole = alternate(rounds(dataset, network, labeled, hardware), repeat)

    products = {name: 2 * SIZE**3 / statistics.median(scored[f"matrix products, {name}"][0])
                for name in ("fp32", "default")}  # fmt: skip
    print(f"\nMatrix products: {products['fp32'] / 1e12:.2f} TFLOP/s in fp32, "
          f"{products['default'] / 1e12:.2f} in {hardware.dtype}\n")  # fmt: skip
    print(
        f"| | scored, images/s | times plain | of the matrix products | {ASKED:,} chosen, s | "
        "trained, images/s | times plain | whole round, s | times plain |\n" + 9 * "|---" + "|"
    )
    work = work_of(plain_network(network))
    for name in (*contestants, "linear head"):
        cells = ["", "", "", "", "", "", "", ""]
        if name in contestants:
            seconds, chose = scored[name]
            cells[:2] = rate(len(pool), seconds), times(scored["plain"][0], seconds)
            if name in products:
                share = len(pool) * work / statistics.median(seconds) / products[name]
                cells[2] = f"{share:.2f}"
            cells[3] = spread(chose)
        if name in trained:
            seconds = trained[name][0]
            cells[4:6] = rate(LABELED, seconds), times(trained["plain"][0], seconds)
        if name in whole:
            seconds = whole[name][0]
            cells[6:] = spread(seconds), times(whole["plain"][0], seconds)
        print(f"| {name} | {' | '.join(cells)} |")


def rate(images: int, seconds: list[float]) -> str:
    fastest, slowest = images / min(seconds), images / max(seconds)
    return f"{images / statistics.median(seconds):,.0f} ({slowest:,.0f} to {fastest:,.0f})"


def times(plain: list[float], seconds: list[float]) -> str:
    return f"{statistics.median(plain) / statistics.median(seconds):.2f}"


def spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
