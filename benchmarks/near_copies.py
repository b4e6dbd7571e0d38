"""Which near-copies are found, and what is wrongly taken for one: ``python -m
benchmarks.near_copies --data PATH``, a folder or tables of pictures.

Some pictures are changed a little, and each is compared with its copy; then all are compared with
each other. Beside it: imagehash's pHash, where it is installed, at several distances.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from typing import Any

import click
import numpy as np
from PIL import Image

from al_core.files.paths import home
from al_core.images.dataset import identities
from al_core.images.dataset_cache import load
from al_core.images.near_copies import near_copies
from al_core.pictures.decoding import decode
from al_core.pictures.digests import FILES
from al_core.pictures.thumbnails import original
from al_core.progress import finish

SIZE = 32
DISTANCES = (4, 8, 12)  # of 64 bits


def compressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def scaled(image: Image.Image, by: float) -> Image.Image:
    return image.resize([max(round(side * by), 1) for side in image.size], Image.Resampling.LANCZOS)


def cut(image: Image.Image, share: float) -> Image.Image:
    """Without a ``share`` of each side, somewhere at its ends."""
    left, top = (int(side * share * random.random()) for side in image.size)
    width, height = (max(int(side * (1 - share)), 1) for side in image.size)
    return image.crop((left, top, left + width, top + height))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half as large": lambda image: scaled(image, 0.5),
    "1.7 times as large": lambda image: scaled(image, 1.7),
    "JPEG, quality 75": lambda image: compressed(image, 75),
    "JPEG, quality 30": lambda image: compressed(image, 30),
    "half, then quality 50": lambda image: compressed(scaled(image, 0.5), 50),
    "lighter by 15%": lambda image: image.point(lambda value: min(round(value * 1.15) + 8, 255)),
    "cut by 2%": lambda image: cut(image, 0.02),
    "cut by 5%": lambda image: cut(image, 0.05),
    "cut by 10%": lambda image: cut(image, 0.1),
}


def pairs_found(images: list[Image.Image], change: Callable[[Image.Image], Image.Image]) -> float:
    """The share of pictures whose changed copy is found, each pair alone."""
    found = 0
    for image in images:
        pair = [image, change(image)]
        rows = [decode(np.asarray(one.convert("RGB")), SIZE) for one in pair]
        files = np.zeros(2, FILES)
        files["width"], files["height"] = np.array([one.size for one in pair]).T
        files["width"][1], files["height"][1] = image.size  # however small the copy is
        found += bool(finish(near_copies(rows, files)))
    return found / len(images)


def hashes(images: list[Image.Image]) -> Any:
    """imagehash's pHash, bool [n,64]; None where it is not installed."""
    try:
        import imagehash
    except ImportError:
        return None
    return np.stack([imagehash.phash(image).hash.ravel() for image in images])


def within(hashed: Any, targets: Any, most: int) -> tuple[int, int]:
    """Pairs of at most this distance, and how many of them are of two classes."""
    signs, pairs, differ = np.where(hashed, 1, -1).astype(np.float32), 0, 0
    for start in range(0, len(signs), 2000):
        left, right = np.nonzero(signs[start : start + 2000] @ signs[start:].T >= 64 - 2 * most)
        left, right = left[left < right] + start, right[left < right] + start
        pairs, differ = pairs + len(left), differ + (targets[left] != targets[right]).sum()
    return pairs, int(differ)


@click.command()
@click.option("--data", required=True)
@click.option("--sample", default=200, help="Pictures that are changed.")
def main(data: str, sample: int) -> None:
    dataset = finish(load(data, image_size=SIZE, cache_dir=home() / "cache"))
    images, files, targets = (
        np.concatenate([getattr(one, name) for one in dataset.splits])
        for name in ("images", "files", "targets")
    )
    began = time.perf_counter()
    groups = finish(near_copies(images, files))
    took = time.perf_counter() - began
    mixed = sum(len(set(targets[group].tolist())) > 1 for group in groups)
    leaks = sum(any(i < len(dataset.train) for i in g) * sum(i >= len(dataset.train) for i in g)
                for g in groups)  # fmt: skip
    click.echo(
        f"{len(images):,} pictures, {took:.1f} s: {sum(map(len, groups)):,} in {len(groups):,} "
        f"groups, {mixed:,} of two classes; {leaks:,} test images beside a training image. "
        f"Sizes: {dict(sorted(Counter(map(len, groups)).items()))}"
    )
    random.seed(0)
    assert dataset.pictures is not None
    chosen = []
    for identity in random.sample(
        np.concatenate([*map(identities, dataset.splits)]).tolist(), sample
    ):
        whole = Image.open(BytesIO(original(dataset.pictures, identity)[0])).convert("RGBA")
        chosen.append(Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole))
    chosen = [one.convert("RGB") for one in chosen]
    before = hashes(chosen)
    for name, change in CHANGES.items():
        line = f"{name:24} {pairs_found(chosen, change):6.1%}"
        if before is not None:
            far = (before != hashes([change(one) for one in chosen])).sum(axis=1)
            line += "".join(f"  {(far <= most).mean():6.1%}" for most in DISTANCES)
        click.echo(line)
    if before is not None:
        began = time.perf_counter()
        hashed = hashes(
            [Image.fromarray(np.ascontiguousarray(i.transpose(1, 2, 0))) for i in images]
        )
        click.echo(f"imagehash: {time.perf_counter() - began:.1f} s")
        for most in DISTANCES:
            pairs, differ = within(hashed, targets, most)
            click.echo(f"pHash, at most {most} of 64: {pairs:,} pairs, {differ:,} of two classes")


if __name__ == "__main__":
    main()
