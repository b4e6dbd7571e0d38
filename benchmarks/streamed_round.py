"""A round over embeddings in files: ``python -m benchmarks.streamed_round``.

Random embeddings of ``--images`` images, 512 wide, in files as ``embed --engine ray`` writes them;
a head on 1,000 labels, 1,000 images chosen. By this process and by a Ray cluster of this machine,
in turn; the files lie in the page cache, as they do for whoever has memory for them.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch

from al_core.distributed.ray_cluster import tasks
from al_core.distributed.streamed_round import streamed_round
from al_core.features.embedding_files import ROWS, file_named, write_file
from al_core.loop.query import Choice
from al_core.progress import finish
from benchmarks.browser import heading

WIDTH, CLASSES, LABELS = 512, 10, 1000


@click.command()
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--strategy", "strategies", multiple=True, default=("margin", "bald", "typiclust"))
@click.option("--repeat", default=3, show_default=True)
def main(images: int, strategies: tuple[str, ...], repeat: int) -> None:
    """Print what each step of a round takes, and the memory of this process."""
    heading(f"torch {torch.__version__}, {images:,} images")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        labels = write_pool(folder, images)
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{size / images:,.0f} bytes an image; written in {seconds:,.1f} s.\n")
        print("| strategy | by | look up, s | fit, s | choose, s | images scored a second |")
        print("|---|---|---|---|---|---|")
        with tasks() as cluster:
            for strategy in strategies:
                chosen: dict[str, list[str]] = {}
                steps: dict[str, list[dict[str, float]]] = {"one process": [], "Ray": []}
                for _ in range(repeat):
                    for by, run in (("one process", map), ("Ray", cluster)):
                        choice = Choice(strategy, 1000)
                        work = streamed_round(folder, labels, {}, choice, run)
                        done = finish(work)
                        steps[by].append(done.seconds)
                        chosen[by] = done.keys
                for by, all_of in steps.items():
                    cells = []
                    for step in ("look_up", "fit", "choose"):
                        values = [each[step] for each in all_of]
                        cells.append(
                            f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
                        )
                    rate = images / np.median([each["choose"] for each in all_of])
                    print(f"| {strategy} | {by} | {' | '.join(cells)} | {rate:,.0f} |", flush=True)
                assert chosen["one process"] == chosen["Ray"]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nThe same batches. Most memory of this process: {most:,.0f} MB.")


def write_pool(folder: Path, images: int) -> dict[str, int]:
    """Embeddings around the centre of their class, in files; and labels of some, by key."""
    chance = np.random.default_rng(0)
    centres = chance.normal(size=(CLASSES, WIDTH))
    labels: dict[str, int] = {}
    for number, start in enumerate(range(0, images, ROWS)):
        rows = range(start, min(start + ROWS, images))
        classes = chance.integers(CLASSES, size=len(rows))
        embeddings = centres[classes] + 3 * chance.normal(size=(len(rows), WIDTH))
        keys = [f"images/{row:09d}.jpg" for row in rows]
        path, nobody = file_named(folder, f"{number:08d}"), [bytes(16)] * len(keys)
        write_file(path, keys, nobody, embeddings.astype(np.float16))
        every = max(1, images // LABELS)
        labels |= {
            key: int(c) for row, key, c in zip(rows, keys, classes, strict=True) if not row % every
        }
    return labels


if __name__ == "__main__":
    main()
