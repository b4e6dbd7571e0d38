"""Scoring, rounds, embedding, and the loop most people write."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
from al_core.experiment.pool import Pool
from al_core.features.embed import embed
from al_core.features.encoders.find import resnet18
from al_core.features.read import Features
from al_core.loop.learners import RoundTask
from al_core.loop.query import Choice, choose
from al_core.loop.round import run_round
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import on_device
from al_core.models.network import build
from al_core.models.prediction import predict
from al_core.models.weights import read_weights
from al_core.progress import finish
from al_core.store.records import Annotation
from benchmarks.on_gpu.bench import NAMES, Bench
from benchmarks.peers import Pictures, plain, plain_epoch, plain_network


def scoring(bench: Bench) -> None:
    """Images a second, beside the rate of matrix products."""
    dataset, hardware = bench.dataset(), bench.hardware
    n = min(49_000, len(dataset.train))
    images, everything = on_device(dataset.train.images, hardware), np.arange(n)
    size = 512 if bench.tiny else 8192
    for on in (hardware, hardware.exact):
        a, b = torch.randn(2, size, size, device=on.device, dtype=on.dtype)
        took = bench.attempt(f"matrix product {size}, {on.dtype}",
                             lambda a=a, b=b: [a @ b for _ in range(10)], 4)  # fmt: skip
        del took, a, b
        for stem in ("small", "torchvision"):
            network = build(10, stem, hardware, dataset.train.images, torch.Generator())
            fast = InferenceNetwork(network, on)
            bench.attempt(
                f"score, {stem}, {on.dtype}",
                lambda fast=fast, on=on: finish(predict(fast, images, everything, on, "")), 5, n,
            )  # fmt: skip
    fast = InferenceNetwork(build(10, "small", hardware, dataset.train.images, torch.Generator()),
                            hardware)  # fmt: skip

    def embedded() -> None:
        with torch.inference_mode():
            for block in torch.as_tensor(images[:n]).split(2048):
                fast.embed(block)

    bench.attempt("embed alone, no copies", embedded, 3, n)
    if hardware.device.type == "cuda":
        with torch.inference_mode():
            compiled = torch.compile(fast.embed, dynamic=False)

        def quickly() -> None:
            with torch.inference_mode():
                for start in range(0, n - 2047, 2048):
                    compiled(images[start : start + 2048])

        bench.attempt("embed alone, compiled", quickly, 4, n)
        profiled(bench, embedded)


def profiled(bench: Bench, work: Callable[[], object]) -> None:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        work()
    table = seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=15,
                                      max_name_column_width=70)  # fmt: skip
    (bench.out / f"profile-{bench.stage}.txt").write_text(table)


def rounds(bench: Bench) -> None:
    """Whole rounds: from scratch, from the weights just learned, and of a linear head."""
    dataset, size = bench.dataset(), len(bench.dataset().train)
    order = np.random.default_rng(0).permutation(size).tolist()
    test = {} if not bench.tiny else {"epochs": 1, "min_steps": 2}

    def a_round(n: int, features: Features | None = None, model: ModelConfig | None = None,
                **train: Any) -> Any:  # fmt: skip
        known = [Annotation(i, int(dataset.train.targets[i]), 0, "x") for i in order[:n]]
        config = ExperimentConfig(
            data="cifar10", initial=n, per_round=100, rounds=1, strategy="margin",
            class_names=NAMES, model=model or ModelConfig(), train=TrainConfig(**train, **test),
        )  # fmt: skip
        pool = Pool.fold(size, known)
        outcome = finish(run_round(RoundTask(config, 0, pool, dataset, features), bench.hardware))
        start = time.perf_counter()
        choose(Choice("margin", 100), outcome.predictions, pool, pool.unlabeled,
               bench.hardware.device)  # fmt: skip
        record = outcome.record
        bench.note("  of which", train=record.train_seconds, evaluate=record.evaluate_seconds,
                   score=record.score_seconds, choose=time.perf_counter() - start,
                   accuracy=record.metrics["accuracy"])  # fmt: skip
        return outcome

    few, many = (100, 200) if bench.tiny else (1000, 10_000)
    one = bench.attempt(f"a round, {few:,} labels, cold", lambda: a_round(few))
    two = bench.attempt(f"a round, {few:,} labels", lambda: a_round(few), 3)
    if one and two:
        same = (one.predictions.probs == two.predictions.probs).all()
        bench.note("the same round twice", same=bool(same))
    rows = torch.randn(size + 10_000, 512, generator=torch.Generator().manual_seed(0)).half()
    random = Features(rows[:size].numpy(), rows[size:][: len(dataset.test)].numpy(), "")
    bench.attempt("a round of a linear head", lambda: a_round(few, random), 3)
    bench.attempt("a round, batches of 256", lambda: a_round(few, batch_size=256))
    if bench.learned.exists():
        model = ModelConfig(weights=str(bench.learned))
        bench.attempt("a round from the learned weights", lambda: a_round(few, model=model), 2)
        for rate in () if bench.tiny else (0.01, 0.002):
            bench.attempt(
                f"the same, learning rate {rate}, 50 epochs",
                lambda rate=rate: a_round(few, model=model, epochs=50, learning_rate=rate),
            )
    long = {} if bench.tiny else {"epochs": 60, "batch_size": 128}
    bench.attempt(f"a round, {many:,} labels", lambda: a_round(many, **long))
    if bench.learned.exists():
        bench.attempt(f"a round from the learned weights, {many:,} labels",
                      lambda: a_round(many, model=model, **long))  # fmt: skip


def features(bench: Bench) -> None:
    """Embedding as features are computed, once and in fp32, at 32 and at 224 pixels."""
    dataset, hardware = bench.dataset(), bench.hardware
    if bench.learned.exists():
        learned, n = (
            resnet18("learned", read_weights(bench.learned)),
            len(dataset.train) + len(dataset.test),
        )
        bench.attempt(
            "embed 32 x 32",
            lambda: finish(embed(dataset, learned, hardware, Path(tempfile.mkdtemp()))), 3, n,
        )  # fmt: skip
        for on in (hardware, hardware.exact):
            large = np.random.default_rng(0).integers(
                0, 256, (64 if bench.tiny else 5000, 3, 224, 224), dtype=np.uint8
            )
            network = InferenceNetwork(
                build(1, "torchvision", hardware, large[:100], torch.Generator()), on
            )
            everything = np.arange(len(large))
            bench.attempt(
                f"embed 224 x 224, {on.dtype}",
                lambda network=network, large=large, everything=everything, on=on: finish(
                    predict(network, large, everything, on, "")
                ),
                3,
                len(large),
            )
        bench.note("the network that is frozen", of=type(learned.build(hardware)).__name__)


def loop(bench: Bench) -> None:
    """The loop most people write: a DataLoader of PIL images, batches of 128, fp32; on the card."""
    dataset, hardware = bench.dataset(), bench.hardware
    network = build(10, "small", hardware, dataset.train.images, torch.Generator().manual_seed(0))
    twin = plain_network(network)
    few = Pictures(dataset.train.images[:1000], dataset.train.targets[:1000])
    n = min(49_000, len(dataset.train))
    every = Pictures(dataset.train.images[:n], dataset.train.targets[:n])
    bench.attempt("plain loop, an epoch of 1,000", lambda: plain_epoch(twin, few), 2, len(few))
    bench.attempt("plain loop, scoring", plain(twin, every).score, 2, n)
    images, everything = on_device(dataset.train.images, hardware), np.arange(n)
    fast = InferenceNetwork(network, hardware)
    bench.attempt(
        "ours, scoring, in the same run",
        lambda: finish(predict(fast, images, everything, hardware, "")), 5, n,
    )  # fmt: skip
