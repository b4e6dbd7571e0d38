"""Whether a faster dtype changes what is chosen: ``python -m benchmarks.overlap --data CIFAR10``.

A network is trained on 1,000 labels, and 1,000 images are chosen by each strategy, and by margin of
a linear head on the network's embeddings: by predictions in fp32, in fp32 with batches of another
size, in the fast dtype, and as a round makes them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import numpy as np
import torch

from al_core.config import TrainConfig
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import PoolPredictions
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.loop.query import Choice, choose
from al_core.loop.scoring import can_be_fast, look_again
from al_core.models import prediction as predicting
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.linear_heads import cross_validate, fit_heads
from al_core.models.network import build
from al_core.models.prediction import Predictions, predict
from al_core.models.training import fit
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.strategies.registry import STRATEGIES

LABELED, ASKED, OTHER_BATCH = 1000, 1000, 200
CPU = torch.device("cpu")


@click.command()
@click.option("--data", required=True)
def main(data: str) -> None:
    """Print how many of the 1,000 images of fp32 the others choose too."""
    hardware = find_hardware()
    dataset = finish(load(data, cache_dir=Path(home()) / "cache"))
    images, targets = dataset.train.images, dataset.train.targets
    labeled = np.random.default_rng(0).permutation(len(images))[:LABELED]
    pool = Pool(
        len(images), {i: Annotation(i, int(targets[i]), 0, "truth") for i in labeled.tolist()}
    )
    classes = len(dataset.train.class_names)
    generator = torch.Generator().manual_seed(0)
    network = build(classes, "torchvision", hardware, images, generator)
    x, y = (torch.from_numpy(rows[labeled]).to(hardware.device) for rows in (images, targets))
    finish(fit(network, x, y, TrainConfig(), hardware, generator))

    def said(on: Hardware, batch_size: int) -> Predictions:
        predicting.BATCH_SIZE, before = batch_size, predicting.BATCH_SIZE
        fast, everything = InferenceNetwork(network, on), np.arange(len(images))
        whole = finish(predict(fast, images, everything, on, ""))
        predicting.BATCH_SIZE = before
        return whole

    def picks(strategy: str, whole: Predictions) -> set[int]:
        of_pool = PoolPredictions(0, whole.probs.numpy(), whole.embeddings.numpy())
        chosen, _ = choose(Choice(strategy, ASKED, seed=1), of_pool, pool, pool.unlabeled, CPU)
        return set(chosen.tolist())

    exact, again = said(hardware.exact, 512), said(hardware.exact, OTHER_BATCH)
    fast = said(hardware, 512)

    def here(strategy: str) -> Predictions:
        if not can_be_fast(strategy):
            return exact
        whole = copy.deepcopy(fast)
        score = STRATEGIES[strategy].function
        finish(look_again(network, images, whole, pool.unlabeled, score, ASKED, hardware))
        return whole

    def by_head(whole: Predictions) -> Predictions:
        known, labels = whole.embeddings[pool.labeled], torch.from_numpy(pool.labels)
        seed = torch.Generator().manual_seed(2)
        penalty = torch.tensor([cross_validate(known, labels, classes, seed).penalty])
        head = fit_heads(known, labels, classes, torch.ones(1, len(labels)), penalty)
        return Predictions(head.logits(whole.embeddings)[0].softmax(1), whole.embeddings)

    print(f"{date.today()}, {hardware.name}, {torch.get_num_threads()} threads, {hardware.dtype}\n")
    print(f"| of {ASKED:,} chosen in fp32 | fp32, batches of {OTHER_BATCH} | {hardware.dtype} | "
          "as it is here |\n|---|---|---|---|")  # fmt: skip

    def row(name: str, strategy: str, of: Callable[[Predictions], Predictions]) -> None:
        like = picks(strategy, of(exact))
        cases = (again, fast, exact if of is by_head else here(strategy))
        cells = [f"{len(like & picks(strategy, of(case))):,}" for case in cases]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    for strategy in STRATEGIES:
        if strategy != "random":
            row(strategy, strategy, lambda whole: whole)
    row("margin, linear head", "margin", by_head)


if __name__ == "__main__":
    main()
