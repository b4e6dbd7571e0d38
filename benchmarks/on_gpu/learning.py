"""Features learned from images alone: seconds a pass, weights, and what they are worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_core.features import learner as learning
from al_core.features.config import PretrainConfig
from al_core.features.pretrain import Run, pretrain
from al_core.images.dataset import Dataset
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, on_device
from al_core.models.linear_heads import cross_validate, fit_heads
from al_core.models.neighbours import by_neighbours
from al_core.models.network import build
from al_core.models.prediction import predict
from al_core.models.weights import read_weights
from al_core.progress import finish
from benchmarks.on_gpu.bench import Bench

PART = 15_000_000  # bytes of a file that is carried away
DRAWS = 5
AFTER = 60.0  # seconds for starting, writing the weights and saying what they are worth


def epochs(bench: Bench) -> None:
    """Seconds that an epoch of learning features takes, by method, plainly and compiled."""
    dataset = bench.dataset()
    steps = 3 if bench.tiny else 40
    for method, batch, mode in [
        ("simclr", 512, "plain"),
        ("simclr", 512, "default"),
        ("emp-ssl", 128, "default"),
        ("fastsiam", 128, "default"),
    ]:
        config = PretrainConfig(method=method, minutes=None, epochs=1000, batch_size=batch,
                                stem="small")  # fmt: skip
        run = Run(dataset, config, bench.hardware)
        learner = run.learner
        learner.forward = learner.project
        if mode != "plain" and bench.hardware.device.type == "cuda":
            learner.forward = torch.compile(learner.project, mode=mode)

        def some(run: Run = run, steps: int = steps) -> None:
            for _ in range(steps):
                run.take_step()

        name = f"{method}, {batch} images, {mode}"
        bench.attempt(f"{name}: first steps", lambda some=some: some(steps=3))
        if bench.attempt(f"{name}: {steps} steps", lambda some=some: some() or True, 3,
                         steps * batch):  # fmt: skip
            loss, directions = run.means.tolist()
            bench.note(name, loss=loss, directions=directions)
        del run


def weights(bench: Bench) -> None:
    """Learn features for as long as there is time, and say what they are worth."""
    dataset = bench.dataset()
    torch.backends.cudnn.benchmark = True
    learning.COMPILES = 0
    config = PretrainConfig(method=bench.method, minutes=10, stem="small")
    if not bench.tiny:
        warm = Run(dataset, config, bench.hardware)  # compiles outside of the run's schedule
        bench.attempt("compile", lambda: [warm.take_step() for _ in range(2)])
        bench.attempt("100 steps", lambda: [warm.take_step() for _ in range(100)], 2,
                      100 * warm.batch_size)  # fmt: skip
        bench.note("a step", directions=warm.means[1].item())
        del warm
    seconds = 3.0 if bench.tiny else bench.left - AFTER
    config = replace(config, minutes=seconds / 60)
    last = [""]

    def noted(report: Any) -> None:
        words = report.phase.partition(", nearest")[2]
        if words != last[0]:
            last[0] = words
            bench.note("learning", seconds=round(report.seconds), phase=report.phase)

    report = bench.attempt(
        f"learn by {config.method}",
        lambda: finish(pretrain(dataset, config, bench.hardware, bench.learned), noted),
    )
    if report:
        bench.note("learned", epochs=report.epoch, loss=report.loss, directions=report.directions)
        whole = bench.learned.read_bytes()
        for i in range(0, len(whole), PART):
            (bench.out / f"learned.{i // PART}").write_bytes(whole[i : i + PART])
        worth(bench, dataset, bench.learned)


def worth(bench: Bench, dataset: Dataset, path: Path, on: Hardware | None = None) -> None:
    """The accuracy of neighbours and of linear heads on what the weights see, in fp32 unless
    ``on`` says otherwise."""
    hardware, generator = bench.hardware, torch.Generator().manual_seed(0)
    network = InferenceNetwork(
        build(10, "small", hardware, dataset.train.images, generator, read_weights(path)),
        on or hardware.exact,
    )
    train, test = (
        finish(
            predict(network, on_device(part.images, hardware), np.arange(len(part)), hardware, "")
        ).embeddings.to(hardware.device)
        for part in (dataset.train, dataset.test)
    )
    y, truth = (torch.from_numpy(p.targets).to(hardware.device)
                for p in (dataset.train, dataset.test))  # fmt: skip

    def share(said: torch.Tensor) -> float:
        return round(100 * (said == truth).float().mean().item(), 2)

    found: dict[str, object] = {"neighbours, 20": share(by_neighbours(test, train, y, 20))}
    for n in [n for n in (10, 60, 100, 200, 1000) if n < len(y)] + [len(y)]:
        own = []
        for draw in range(1 if n == len(y) else DRAWS):
            some = torch.randperm(len(y), generator=torch.Generator().manual_seed(draw))[:n]
            few = some[:5000]
            penalty = cross_validate(train[few], y[few], 10, generator).penalty
            penalty = torch.tensor([penalty * len(few) / n], device=hardware.device)
            alike = torch.ones(1, n, device=hardware.device)
            head = fit_heads(train[some], y[some], 10, alike, penalty)
            own.append(share(head.logits(test)[0].argmax(1)))
        found[f"linear, {n:,} random labels"] = round(float(np.mean(own)), 2)
    bench.note("worth", **found)
