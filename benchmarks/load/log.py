"""An experiment with 50,000 annotations: ``python -m benchmarks.load log --data PATH_TO_CIFAR10``.

Three people have labelled 450 batches of 100 images, each batch with its reasons and its round; of
4,000 images somebody thought again. What the networks said of the pool is drawn at random, for
nothing here asks whether it is right. The random baseline is off: it would train 450 rounds.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from playwright.sync_api import Browser, expect

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.experiment import open_experiment
from al_core.experiment.predictions import (
    MeasuredPredictions,
    PoolPredictions,
    save_measured,
    save_predictions,
)
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.records import Annotation, Batch, Reasons, RoundRecord, now
from al_core.store.store import Store
from benchmarks.browser import heading, report
from benchmarks.desk import BATCH, TIMED, Desk
from benchmarks.start import started
from tests.servers import chromium, serving

ANNOTATIONS, INITIAL, AGAIN = 50_000, 1000, 4000
PEOPLE = ("ada", "grace", "me")


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--annotations", default=ANNOTATIONS, show_default=True)
@click.option("--repeat", default=10, show_default=True)
def log(data: str, annotations: int, repeat: int) -> None:
    """An experiment with 50,000 annotations: how soon is it there, how soon a label saved?"""
    heading(f"{data}, {annotations:,} annotations")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        os.environ["AL_HOME"] = folder
        experiment = long_experiment(data, annotations)
        print("| what | where | n | median | 99% | worst |\n|---|---|---|---|---|---|")
        in_the_core(experiment, 2 * repeat)
        started(Path(folder), browser, experiment)  # everything has been read from disk once
        runs = [started(Path(folder), browser, experiment) for _ in range(repeat)]
        opened = "a batch of 100, after the address was opened"
        report(f"{opened}, ms", "a new server", [1000 * run[opened] for run in runs])
        with serving(Path(folder), TIMED) as server:
            address = f"{server.url}/?experiment={experiment}"
            desk = Desk(Path(folder), browser, address)
            seconds = [open_page(browser, address) for _ in range(repeat)]
            report(f"{opened}, ms", "a server that runs", [1000 * s for s in seconds])
            desk.keys("nothing else runs")
            desk.start_training()
            desk.keys("a round trains")
            desk.batches("a round trains", repeat)


def in_the_core(experiment: int, repeat: int) -> None:
    """What opening it takes without a page."""
    store = Store()
    opened = open_experiment(store, experiment)
    timed: dict[str, Callable[[], object]] = {
        "Store.annotations": lambda: store.annotations(experiment),
        "Store.batches, without reasons": lambda: store.batches(experiment, with_reasons=False),
        "Store.rounds": lambda: store.rounds(experiment),
        "open_experiment": lambda: open_experiment(store, experiment),
        "its pool, folded": lambda: opened.pool_of(opened.next_round),
    }
    for what, act in timed.items():
        report(f"{what}, ms", "no page", [1000 * seconds(act) for _ in range(repeat)])


def seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def open_page(browser: Browser, address: str) -> float:
    """Seconds until a new tab shows a batch."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.perf_counter()
    page.goto(address)
    expect(page.get_by_test_id("tile")).to_have_count(BATCH, timeout=60_000)
    took = time.perf_counter() - began
    page.close()
    return took


def long_experiment(data: str, annotations: int) -> int:
    """An experiment with so many annotations, and a batch that waits to be labelled."""
    store = Store()
    dataset = finish(load(data, cache_dir=Path(os.environ["AL_HOME"]) / "cache"))
    train = TrainConfig(epochs=1, min_steps=1_000_000)  # a round that begins does not end
    initial = min(INITIAL, len(dataset.train) // 2)
    count = (annotations - AGAIN - initial) // BATCH
    config = ExperimentConfig(
        data=data, initial=initial, per_round=BATCH, rounds=1, train=train, random_baseline=False
    )
    experiment = start_experiment(store, "desk", config, dataset)
    store.change_config(experiment, {"rounds": count + 1000})
    rng = np.random.default_rng(0)
    known = {said.image for said in store.annotations(experiment)}
    order = [image for image in rng.permutation(len(dataset.train)).tolist() if image not in known]
    order *= -(-(count + 1) * BATCH // len(order))  # a small pool is labelled again and again
    store.add_round(experiment, trained(0, initial, rng), None)
    for number in range(1, count + 2):
        images = order[(number - 1) * BATCH : number * BATCH]
        done = number <= count
        batch = Batch(number, "least_confidence", images, rng.random(BATCH).tolist(), number - 1,
                      reasons=reasons(rng), handed_in_at=now() if done else None)  # fmt: skip
        store.add_batch(experiment, batch, number - 1)
        if done:
            store.append(experiment, [answer(i, number, dataset, rng) for i in images])
            store.add_round(experiment, trained(number, initial + number * BATCH, rng), None)
    again = rng.choice(order[: count * BATCH], AGAIN).tolist()
    store.append(experiment, [answer(image, count + 1, dataset, rng) for image in again])
    for number in (count - 1, count):
        said = rng.dirichlet([0.3] * 10, len(dataset.test)).astype(np.float32)
        measured = MeasuredPredictions("test", np.arange(len(said)), said)
        save_measured(store.folder(experiment), number, measured)
    probs = rng.dirichlet([0.3] * 10, len(dataset.train)).astype(np.float32)
    embeddings = rng.random((len(dataset.train), 512), dtype=np.float32).astype(np.float16)
    save_predictions(store.folder(experiment), PoolPredictions(count, probs, embeddings))
    return experiment


def answer(image: int, number: int, dataset: Dataset, rng: np.random.Generator) -> Annotation:
    """A label of one of three people; one in fifty is a skip."""
    label = None if rng.random() < 0.02 else int(rng.integers(10))
    annotator, event = PEOPLE[number % len(PEOPLE)], f"{rng.integers(2**60):x}:{image}"
    key = dataset.train.keys[image]
    return Annotation(image, label, number, annotator, key=key, event=event, milliseconds=800)


def reasons(rng: np.random.Generator) -> Reasons:
    top = [[(int(c), 0.25) for c in rng.permutation(10)[:3]] for _ in range(BATCH)]
    ranks = rng.permutation(10_000)[:BATCH].tolist()
    return Reasons(10_000, top, ranks, rng.integers(1000, size=(BATCH, 5)).tolist())


def trained(number: int, labeled: int, rng: np.random.Generator) -> RoundRecord:
    """A round as one that was trained leaves it."""
    accuracy = 0.9 - 0.5 * (number + 1) ** -0.3
    metrics = {
        "images": 10_000,
        "accuracy": accuracy,
        "interval": [accuracy - 0.01, accuracy + 0.01],
        "nll": 1.2,
        "ece": 0.05,
        "confusion": rng.multinomial(1000, [0.1] * 10, size=10).tolist(),
        "on": "test",
    }
    history = [[float(epoch), 1.0, 0.5] for epoch in range(1, 21)]
    return RoundRecord(number, labeled, metrics, history, 20.0, 1.0, 3.0, 0.1, 49_000)
