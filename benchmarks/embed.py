"""Embedding photographs beside its peers: ``python -m benchmarks.embed``.

ResNet-18, DINOv2 ViT-S/14 and CLIP ViT-B/32, with random weights, at 224 pixels, from JPEGs of 2
and of 0.2 megapixels that are made for it. In one run, in alternating order, medians:

    plain     the loop most people write: a DataLoader with two workers, batches of 32, fp32
    timm      timm's own inference script as it comes, where its path is given: it is in timm's
              repository, not in its package
    ours      ``al_core.features.embed`` as the desk and ``python -m al_core embed`` call it
    computed  the same without decoding, in the dtype that is used, from pixels in memory
    decoded   our decoding alone

The rate of products of matrices of 2,048 x 2,048 is measured between them, in both dtypes; an
image's work is counted as torch counts it for timm's network. The memory is what a process of its
own holds at most, less the weights.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import numpy as np
import timm
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from al_core.config import ModelConfig
from al_core.features.embed import embed
from al_core.features.encoders.encoder import Encoder
from al_core.features.encoders.find import encoder_of
from al_core.features.lanes import in_lanes
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.images.streaming import Stream
from al_core.models.hardware import Hardware, find_hardware
from al_core.progress import finish

NETWORKS = ("resnet18", "vit_small_patch14_dinov2", "vit_base_patch32_clip_224")
PICTURES = {"2 MP": (1632, 1224), "0.2 MP": (512, 392)}
SIDE, PLAIN_BATCH, BLOCK = 224, 32, 8


def photographs(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write JPEGs that take as long to decode as a camera's."""
    for i in range(count):
        rng = np.random.default_rng(i)
        noise = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
        smooth = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
        path = folder / "ab"[i % 2] / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth.filter(ImageFilter.GaussianBlur(1)).save(path, quality=90)


def network_of(name: str) -> torch.nn.Module:
    sized = {"img_size": SIDE} if name.startswith("vit") else {}
    return timm.create_model(name, num_classes=0, **sized).eval()


class Pictures(torch.utils.data.Dataset):
    """Files as most people read them."""

    def __init__(self, files: list[Path], network: torch.nn.Module) -> None:
        config = {**resolve_model_data_config(network), "input_size": (3, SIDE, SIDE)}
        self.files, self.transform = files, create_transform(**config)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> torch.Tensor:
        return self.transform(Image.open(self.files[place]).convert("RGB"))


def plain(files: list[Path], network: torch.nn.Module) -> float:
    """Images a second; the workers are started before."""
    loader = DataLoader(Pictures(files, network), PLAIN_BATCH, num_workers=2)
    batches, done = iter(loader), 0
    first = next(batches)
    began = time.perf_counter()
    with torch.inference_mode():
        network(first)
        for batch in batches:
            network(batch)
            done += len(batch)
    return (done + len(first)) / (time.perf_counter() - began)


def by_script(script: Path, files: Path, name: str) -> float:
    """Images a second that timm's script says it has reached, at its own batch size: 256."""
    with tempfile.TemporaryDirectory() as out:
        sized = {"img_size": SIDE} if name.startswith("vit") else {}
        weights = Path(out) / "weights.pth"  # it would download others
        torch.save(timm.create_model(name, **sized).state_dict(), weights)
        said = subprocess.run(
            [sys.executable, script, "--data-dir", files, "--model", name, "--img-size", str(SIDE),
             "--checkpoint", weights, "--device", "cpu", "--results-dir", out, "--log-freq", "1"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    count = len([path for path in files.rglob("*") if path.is_file()])
    (*_, (batches, mean)) = re.findall(
        r"/(\d+)\] Time [\d.]+ \(([\d.]+)\)", said.stdout + said.stderr
    )
    return count / (int(batches) * float(mean))


def ours(dataset: Dataset, encoder: Encoder, hardware: Hardware) -> float:
    """Images a second from the first report on: the network is built before."""
    with tempfile.TemporaryDirectory() as folder:
        work = embed(dataset, encoder, hardware, Path(folder))
        start = next(work)
        began, reports = time.perf_counter(), [*work]
        return (reports[-1].done - start.done) / (time.perf_counter() - began)


def held(pictures: Path, weights: Path) -> None:
    """Embed in a process of its own, and print the MB that it held at most, less the weights."""
    encoder = finish(encoder_of(ModelConfig(str(weights), head="linear"), "", SIDE))
    dataset = finish(load(str(pictures), image_size=64, cache_dir=pictures.parent / "cache"))
    ours(dataset, encoder, find_hardware())
    most = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert most is not None
    print(f"{weights.stem}: {(1024 * int(most[1]) - weights.stat().st_size) / 1e6:.0f} MB beside "
          "the weights", flush=True)  # fmt: skip


def computed(encoder: Encoder, hardware: Hardware, count: int) -> float:
    network, blocks = encoder.build(encoder.on(hardware)), range(max(count // BLOCK, 1))
    images = torch.randint(0, 256, (BLOCK, 3, SIDE, SIDE), dtype=torch.uint8)

    def work(_: int) -> None:
        with torch.inference_mode():
            network.embed(images)

    work(0)
    began = time.perf_counter()
    for _ in in_lanes(work, blocks):
        pass
    return len(blocks) * BLOCK / (time.perf_counter() - began)


def decoded(dataset: Dataset, encoder: Encoder) -> float:
    stream = Stream(dataset.train, dataset.pictures, encoder.square)
    count = len(dataset.train)
    blocks = [range(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
    began = time.perf_counter()
    for _ in in_lanes(stream.pixels, blocks):
        pass
    return count / (time.perf_counter() - began)


def products(dtype: torch.dtype) -> float:
    """Billion operations a second."""
    one = torch.randn(2048, 2048, dtype=dtype)
    one @ one
    began = time.perf_counter()
    for _ in range(3):
        one @ one
    return 3 * 2 * 2048**3 / (time.perf_counter() - began) / 1e9


def work_of(network: torch.nn.Module) -> float:
    """Billion operations an image."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.train()(torch.randn(2, 3, SIDE, SIDE))  # no fused path that is not counted
    network.eval()
    return counter.get_total_flops() / 2e9


@click.command()
@click.option("--images", default=96, show_default=True)
@click.option("--turns", default=3, show_default=True)
@click.option("--timm-script", type=click.Path(path_type=Path, exists=True))
@click.option("--network", "networks", multiple=True, default=NETWORKS, show_default=True)
def main(images: int, turns: int, timm_script: Path | None, networks: tuple[str, ...]) -> None:
    """Print a table, a row for each network and size of pictures."""
    hardware = find_hardware()
    print(f"{date.today()}, {os.cpu_count()} cores, torch {torch.__version__}, timm "
          f"{timm.__version__}, Python {platform.python_version()}, {images} images, {turns} "
          f"turns, ours in {str(hardware.dtype).removeprefix('torch.')}\n")  # fmt: skip
    print("| network | pictures | plain | timm | ours | computed | decoded | products, fp32 "
          "and ours | ours / plain | computed / products | ours / computed |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        os.environ["AL_HOME"] = str(home)
        for size, pixels in PICTURES.items():
            photographs(home / size, images, pixels)
        for name in networks:
            network, path = network_of(name), home / f"{name}.safetensors"
            tensors = network.state_dict().items()
            save_file({key: tensor.contiguous() for key, tensor in tensors}, path)
            encoder = finish(encoder_of(ModelConfig(str(path), head="linear"), "", SIDE))
            gflops = work_of(network)
            for size in PICTURES:
                files = sorted((home / size).rglob("*.jpg"))
                dataset = finish(load(str(home / size), image_size=64, cache_dir=home / "cache"))
                contestants: dict[str, Callable[[], float]] = {
                    "products32": lambda: products(torch.float32),
                    "plain": lambda f=files, n=network: plain(f, n),
                    "ours": lambda d=dataset, e=encoder: ours(d, e, hardware),
                    "products": lambda: products(hardware.dtype),
                    "computed": lambda e=encoder: computed(e, hardware, images),
                    "decoded": lambda d=dataset, e=encoder: decoded(d, e),
                }
                if timm_script is not None:
                    contestants["timm"] = lambda s=size, n=name: by_script(timm_script, home / s, n)
                found: dict[str, list[float]] = {one: [] for one in contestants}
                for _ in range(turns):
                    for one, measure in contestants.items():
                        found[one].append(measure())
                rate = {one: statistics.median(values) for one, values in found.items()}
                cells = [f"{rate[one]:.1f}" if one in rate else "–"
                         for one in ("plain", "timm", "ours", "computed", "decoded")]  # fmt: skip
                cells.append(f"{rate['products32']:.0f}, {rate['products']:.0f} GFLOP/s")
                cells.append(f"{rate['ours'] / rate['plain']:.2f}")
                cells.append(f"{rate['computed'] * gflops / rate['products']:.2f}")
                cells.append(f"{rate['ours'] / rate['computed']:.2f}")
                print(f"| {name} | {size} | {' | '.join(cells)} |", flush=True)
        for name in networks:
            what = (home / "2 MP", home / f"{name}.safetensors")
            process = multiprocessing.get_context("spawn").Process(target=held, args=what)
            process.start()
            process.join()


if __name__ == "__main__":
    main()
