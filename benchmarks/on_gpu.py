"""Everything that needs a GPU, in one command: ``python -m benchmarks.on_gpu run --data FILE``.

    python -m benchmarks.on_gpu pack --data CIFAR10 --out cifar10.npz    # where PyArrow is
    python -m benchmarks.on_gpu run --data cifar10.npz --out found --minutes 9
    python -m benchmarks.on_gpu run --data cifar10.npz --out found --tiny   # a rehearsal, anywhere

Each stage is a process with a limit of its own, so that none takes another with it, and writes
what it finds to ``found/gpu.jsonl`` line by line, so that what is cut off has lost nothing.
``run`` needs torch, torchvision, NumPy, SciPy, Pillow, safetensors, SQLAlchemy, Alembic, click,
filelock and pytest. CIFAR-10 travels as the encoded files that a Hugging Face dataset holds, since
arrays are ten times as large.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from al_core.config import ExperimentConfig, ModelConfig, PretrainConfig, TrainConfig
from al_core.experiment.pool import Pool
from al_core.features import pretrain as learning
from al_core.features.embed import embed, frozen
from al_core.features.objectives import METHODS
from al_core.features.pretrain import Run, pretrain
from al_core.features.read import Features
from al_core.images.dataset import Dataset, ImageSet
from al_core.loop.query import choose
from al_core.loop.round import run_round
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, find_hardware, on_device
from al_core.models.linear_heads import cross_validate, fit_heads
from al_core.models.neighbours import by_neighbours
from al_core.models.network import build
from al_core.models.prediction import predict
from al_core.models.weights import read_weights
from al_core.progress import finish
from al_core.store.records import Annotation
from benchmarks.peers import Pictures, plain, plain_epoch, plain_network

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PART = 15_000_000  # bytes of a file that is carried away
DRAWS = 5


@dataclass
class Bench:
    """What a stage works with; ``note`` writes a line of what it finds."""

    stage: str
    data: str
    out: Path
    tiny: bool
    seconds: float
    method: str
    hardware: Hardware

    def note(self, what: str, **found: object) -> None:
        line = json.dumps({"stage": self.stage, "what": what, **found}, default=str)
        print(line, flush=True)
        with (self.out / "gpu.jsonl").open("a") as file:
            file.write(line + "\n")

    def attempt(self, what: str, work: Callable[[], Any], times: int = 1, per: int = 0) -> Any:
        """Do it, note how long it took each time, or what went wrong."""
        seconds: list[float] = []
        result = None
        try:
            for _ in range(times):
                self.wait()
                start = time.perf_counter()
                result = work()
                self.wait()
                seconds.append(round(time.perf_counter() - start, 4))
        except Exception as error:
            self.note(what, failed=f"{type(error).__name__}: {error}"[:600],
                      where=traceback.format_exc().splitlines()[-9:])  # fmt: skip
            return None
        rate = {"a_second": round(per / float(np.median(seconds[-3:])))} if per else {}
        self.note(what, seconds=seconds, **rate)
        return result

    def wait(self) -> None:
        if self.hardware.device.type == "cuda":
            torch.cuda.synchronize()

    def dataset(self) -> Dataset:
        """CIFAR-10, decoded once for all stages."""
        arrays = Path(tempfile.gettempdir()) / f"on-gpu-{os.getppid()}.npz"
        if not arrays.exists():
            with np.load(self.data) as packed:
                found = {}
                for part in ("train", "test"):
                    n = (600 if part == "train" else 200) if self.tiny else None
                    found[part] = decoded(packed[part], packed[f"{part}_ends"][:n])
                    found[f"{part}_labels"] = packed[f"{part}_labels"][:n]
            np.savez(arrays, **found)
        with np.load(arrays) as found:
            train, test = (
                ImageSet(found[part], found[f"{part}_labels"], NAMES,
                         [f"{part}-{i}" for i in range(len(found[part]))])
                for part in ("train", "test")
            )  # fmt: skip
        return Dataset("cifar10", train, test, "c1fa" * 8, ())

    @property
    def learned(self) -> Path:
        """The weights that an earlier stage has learned."""
        return self.out / "learned.safetensors"


def decoded(files: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.uint8]:
    starts = [0, *ends[:-1]]

    def one(start: int, end: int) -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(files[start:end].tobytes())) as image:
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, starts, ends)))


def right(bench: Bench) -> None:
    """The tests marked gpu, on the card."""
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-o", "addopts=", "-m", "gpu",
               "-v", "--durations=12", "-p", "no:cacheprovider", "tests/test_gpu.py"]  # fmt: skip
    log = bench.out / "pytest.txt"
    with log.open("w") as output:
        code = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
    bench.note("pytest -m gpu", code=code, said=log.read_text().splitlines()[-16:])


def epochs(bench: Bench) -> None:
    """Seconds that an epoch of learning features takes, by method, plainly and compiled."""
    dataset = bench.dataset()
    steps = 3 if bench.tiny else 40
    for method, batch, mode in [
        ("simclr", 512, "plain"),
        ("simclr", 512, "default"),
        ("emp-ssl", 128, "default"),
    ]:
        config = PretrainConfig(method=method, minutes=None, epochs=1000, batch_size=batch,
                                stem="small")  # fmt: skip
        run = Run(dataset, config, bench.hardware)
        run.forward = run._forward
        if mode != "plain" and bench.hardware.device.type == "cuda":
            run.forward = torch.compile(run._forward, mode=mode)

        def some(run: Run = run, steps: int = steps) -> None:
            for _ in range(steps):
                run.take_step()

        name = f"{method}, {batch} images, {mode}"
        bench.attempt(f"{name}: first steps", lambda some=some: some(steps=3))
        if bench.attempt(f"{name}: {steps} steps", lambda some=some: some() or True, 3,
                         steps * batch):  # fmt: skip
            bench.note(name, loss=run.loss.item(), directions=run.directions.item())
        del run


def weights(bench: Bench) -> None:
    """Learn features for as long as there is time, and say what they are worth."""
    dataset = bench.dataset()
    seconds = 3.0 if bench.tiny else bench.seconds - 62
    torch.backends.cudnn.benchmark = True
    learning.COMPILES = 0
    config = PretrainConfig(method=bench.method, minutes=seconds / 60, stem="small")
    if not bench.tiny:
        warm = Run(dataset, config, bench.hardware)  # compiles outside of the run's schedule
        bench.attempt("compile", lambda: [warm.take_step() for _ in range(2)])
        bench.attempt("100 steps", lambda: [warm.take_step() for _ in range(100)], 2,
                      100 * warm.batch_size)  # fmt: skip
        bench.note("a step", directions=warm.directions.item())
        del warm
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
        outcome = finish(run_round(config, 0, pool, dataset, bench.hardware, features))
        generator = torch.Generator().manual_seed(0)
        start = time.perf_counter()
        choose("margin", 100, outcome.said, pool, pool.unlabeled, generator,
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
        bench.note("the same round twice", same=bool((one.said.probs == two.said.probs).all()))
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


def features(bench: Bench) -> None:
    """Embedding as features are computed, once and in fp32, at 32 and at 224 pixels."""
    dataset, hardware = bench.dataset(), bench.hardware
    if bench.learned.exists():
        learned, n = read_weights(bench.learned), len(dataset.train) + len(dataset.test)
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
        bench.note("the network that is frozen", of=type(frozen(learned, hardware)).__name__)


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


# Each with its share of the time.
STAGES: dict[str, tuple[Callable[[Bench], None], float]] = {
    "right": (right, 0.12),
    "epochs": (epochs, 0.16),
    "weights": (weights, 0.60),
    "scoring": (scoring, 0.10),
    "rounds": (rounds, 0.14),
    "features": (features, 0.06),
    "loop": (loop, 0.08),
}


@click.group()
def main() -> None:
    """Prepare, and run."""


@main.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Parquet files.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def pack(data: Path, out: Path) -> None:
    """Put the encoded images of a parquet dataset, and their labels, into one .npz file."""
    import pyarrow.parquet as pq

    packed = {}
    for part in ("train", "test"):
        table = pq.read_table(sorted(data.glob(f"{part}-*.parquet")))
        files = [row["bytes"] for row in table["img"].to_pylist()]
        packed[part] = np.frombuffer(b"".join(files), np.uint8)
        packed[f"{part}_ends"] = np.cumsum([len(file) for file in files])
        packed[f"{part}_labels"] = table["label"].to_numpy().astype(np.int64)
    np.savez_compressed(out, **packed)  # the same header in each file


@main.command()
@click.option("--data", required=True, help="What pack has written.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--minutes", default=9.0, show_default=True)
@click.option("--stage", "stages", multiple=True, type=click.Choice(list(STAGES)),
              help="Repeatable; all but epochs without it.")  # fmt: skip
@click.option("--method", type=click.Choice(list(METHODS)), default="simclr", show_default=True)
@click.option("--seconds", type=float, help="Of each stage, in place of its share.")
@click.option("--tiny", is_flag=True, help="Few images and steps, to see that it runs through.")
def run(data: str, out: Path, minutes: float, stages: tuple[str, ...], method: str,
        seconds: float | None, tiny: bool) -> None:  # fmt: skip
    """Run the stages, one after another."""
    out.mkdir(parents=True, exist_ok=True)
    for stage in stages or [name for name in STAGES if name != "epochs"]:
        limit = seconds or 60 * minutes * STAGES[stage][1]
        command = [sys.executable, "-X", "faulthandler", "-m", "benchmarks.on_gpu", "one", stage,
                   data, str(out), method, str(limit), str(int(tiny))]  # fmt: skip
        start = time.perf_counter()
        home = {"AL_HOME": os.environ.get("AL_HOME") or tempfile.mkdtemp()}
        try:
            ended: object = subprocess.run(
                command, timeout=None if tiny else limit, check=False, env={**os.environ, **home}
            ).returncode
        except subprocess.TimeoutExpired:
            ended = "timed out"
        Bench(stage, data, out, tiny, limit, method, CPU).note(
            "ended", code=ended, seconds=round(time.perf_counter() - start, 1)
        )


CPU = Hardware(torch.device("cpu"), torch.float32)


@main.command(hidden=True)
@click.argument("stage")
@click.argument("data")
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("method")
@click.argument("seconds", type=float)
@click.argument("tiny", type=int)
def one(stage: str, data: str, out: Path, method: str, seconds: float, tiny: int) -> None:
    """One stage, in this process."""
    hardware = find_hardware()
    bench = Bench(stage, data, out, bool(tiny), seconds, method, hardware)
    bench.note("begins", hardware=str(hardware))
    bench.attempt("stage", lambda: STAGES[stage][0](bench))


if __name__ == "__main__":
    main()
