"""What a stage works with: the card, the images, a file to write to."""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from al_core.images.dataset import Dataset, ImageSet
from al_core.models.hardware import Hardware

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


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
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the stage is stopped."""
        return self.seconds - (time.monotonic() - self.began)

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
