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

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

from al_core.features.objectives import METHODS
from al_core.models.hardware import Hardware, find_hardware
from benchmarks.on_gpu.bench import Bench
from benchmarks.on_gpu.figures import features, loop, rounds, scoring
from benchmarks.on_gpu.learning import epochs, weights


def right(bench: Bench) -> None:
    """The tests marked gpu, on the card."""
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-o", "addopts=", "-m", "gpu",
               "-v", "--durations=12", "-p", "no:cacheprovider", "tests/test_gpu.py"]  # fmt: skip
    log = bench.out / "pytest.txt"
    with log.open("w") as output:
        code = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
    bench.note("pytest -m gpu", code=code, said=log.read_text().splitlines()[-16:])


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
@click.option("--method", type=click.Choice(list(METHODS)), default="fastsiam", show_default=True)
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
