"""What a picture takes by HTTP: ``python -m benchmarks.pictures``.

A server of its own shows 12-megapixel JPEGs, of smooth noise as photographs are. Each thumbnail is
asked for once cold and ten times warm, over one connection, as browsers keep theirs.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import requests
from PIL import Image, ImageFilter

from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import finish
from al_core.store.store import Store
from al_desk.routes.pictures import address, shown
from al_desk.routes.visitors import sign
from tests.servers import serving

WIDTH, HEIGHT = 4000, 3000


@click.command()
@click.option("--pictures", default=20, show_default=True)
def main(pictures: int) -> None:
    """Print medians and the slowest."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["AL_HOME"] = str(home := Path(name))
        folder = home / "photographs"
        for i in range(pictures):
            photograph(folder / "ab"[i % 2] / f"{i}.jpg")
        settings = ExperimentConfig(
            str(folder), class_names=("a", "b"), initial=2, per_round=1, rounds=1
        )
        dataset = finish(load(str(folder), cache_dir=home / "cache"))
        experiment = start_experiment(Store(), "photographs", settings, dataset)
        with serving(home) as server, requests.Session() as browser:
            browser.post(f"{server.url}/ticket", data=sign(), timeout=60).raise_for_status()
            digests = [one[0] for one in shown(dataset.train, range(len(dataset.train)))]
            where = f"{server.url}{address(experiment)}"
            milliseconds(browser, [f"{where}{digests[0]}/original"])  # the source is opened
            urls = [f"{where}{digest}/thumbnail" for digest in digests]
            for title, times in (
                ("cold", milliseconds(browser, urls)),
                ("warm", milliseconds(browser, urls * 10)),
                ("original", milliseconds(browser, [f"{where}{d}/original" for d in digests])),
            ):
                print(f"{title}: {statistics.median(times):.1f} ms, at most {max(times):.1f}")


def photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.effect_noise((WIDTH // 8, HEIGHT // 8), 90).convert("RGB")
    small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).filter(
        ImageFilter.GaussianBlur(1)
    ).save(path, quality=92)


def milliseconds(browser: requests.Session, urls: Sequence[str]) -> list[float]:
    times = []
    for url in urls:
        began = time.perf_counter()
        browser.get(url, timeout=60).raise_for_status()
        times.append(1000 * (time.perf_counter() - began))
    return times


if __name__ == "__main__":
    main()
