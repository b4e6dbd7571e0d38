"""Commands are killed while they write caches, features, checkpoints and simulations."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tests.kills import Tally

ROOT = Path(__file__).parents[2]


def while_writing(home: Path, kills: int, rng: random.Random) -> Iterator[Tally]:
    """Commands are killed anywhere, and in the end give what they give otherwise."""
    home.mkdir()
    pictures = home / "pictures"
    write_pictures(pictures)
    program = [sys.executable, "-c", "import sys, al_core.features.pretrain as p; "
               "p.KEEP_SECONDS = 0.3; "
               "from al_core.__main__ import main; main(sys.argv[1:])"]  # fmt: skip
    weights = str(home / "weights.safetensors")
    learn = [*program, "pretrain", "--data", "digits", "--epochs", "3", "--seed", "1", "--out"]
    run([*learn, weights], home / "first")

    def cache(target: Path) -> list[str]:
        code = f"from al_core.images.dataset_cache import load; " \
               f"from al_core.progress import finish; from pathlib import Path; " \
               f"finish(load({str(pictures)!r}, image_size=64, " \
               f"cache_dir=Path({str(target)!r})))"  # fmt: skip
        return [sys.executable, "-c", code]

    commands: dict[str, Callable[[Path], list[str]]] = {
        "images are decoded into the cache": cache,
        "features are computed": lambda target: [
            *program, "embed", "--data", str(pictures), "--image-size", "64",
            "--weights", weights, "--out", str(target),
        ],
        "features are learned": lambda target: [*learn, str(target / "out.safetensors")],
        "simulations run": lambda target: [
            *program, "simulate", "--data", "digits", "--strategy", "margin", "--strategy",
            "random", "--initial", "20", "--per-round", "10", "--rounds", "4", "--epochs", "1",
            "--min-steps", "10", "--out", str(target / "curve.csv"),
        ],
    }  # fmt: skip
    for i, (what, command) in enumerate(commands.items()):
        tally = Tally(what)
        whole, cut = home / f"whole-{i}", home / f"cut-{i}"
        took = run(command(whole), whole)
        while tally.kills < kills:
            if contents(cut) == contents(whole):  # it was done before it could be killed
                shutil.rmtree(cut)
            tally.kills += run(command(cut), cut, rng.uniform(0.05, 1) * took) < 0
        if contents(cut) != contents(whole):
            run(command(cut), cut)
        tally.otherwise = int(contents(whole) != contents(cut))
        yield tally


def run(command: list[str], home: Path, seconds: float | None = None) -> float:
    """Run a command; how long it took, or, where it was killed after ``seconds``, -1."""
    home.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    environment = {**os.environ, "AL_HOME": str(home), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return -1.0
    if process.returncode:
        raise RuntimeError(errors)
    return time.monotonic() - began


def contents(folder: Path) -> dict[str, str]:
    """What the files of a result say, without how long it took."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".npy" or path.name == "decoded":
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".safetensors":
            tensors = load_file(path)
            digest = hashlib.sha256(b"".join(np.ascontiguousarray(tensors[name]).tobytes()
                                             for name in sorted(tensors)))  # fmt: skip
            found[path.name] = digest.hexdigest()
        elif path.name == "curve.csv":
            header, *lines = (line.split(",") for line in path.read_text().splitlines())
            kept = [i for i, name in enumerate(header) if "seconds" not in name]
            found[path.name] = json.dumps([[line[i] for i in kept] for line in lines])
    return found


def write_pictures(folder: Path, count: int = 600) -> None:
    """Noise of two kinds, large enough to be decoded for a while."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / ("dark", "light")[i % 2] / f"{i:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 128, (240, 320, 3), dtype=np.uint8) + 127 * (i % 2)
        Image.fromarray(noise.astype(np.uint8)).save(path)
