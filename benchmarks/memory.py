"""The most memory that each kind of work takes: ``python -m benchmarks.memory --data
PATH_TO_CIFAR10``.

Each in a process of its own, with the program's own settings, but for short trainings, which take
no less. *Private* is what nobody else could use (RssAnon), looked at many times a second and summed
up over the process and those that it started; *with files* adds what is mapped from files, which a
system short of memory takes back (VmHWM). Needs requirements-dev.txt and a Chromium.
"""

# What is heavy is imported where it is used: each of the processes imports this file first.

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.browser import heading, in_memory

if TYPE_CHECKING:
    from al_core.images.dataset import Dataset

PAUSE = 0.1  # seconds between two looks
EMBEDDINGS, LABELLED, ASKED = 50_000, 40_000, 100  # images
WEIGHTS = "random.safetensors"
WAITS = 600_000  # milliseconds
SHOWN = 3  # strategies
Work = Callable[[], object]


@click.command()
@click.option("--data", required=True, help="CIFAR-10, as folder, archive or tables.")
@click.option("--photographs", type=click.Path(exists=True, file_okay=False), help="A folder.")
@click.option("--files", default=100_000, show_default=True, help="Of the large folder.")
def main(data: str, photographs: str | None, files: int) -> None:
    """Print a table, and what an idle Python with torch takes."""
    heading(data)
    print("| work | private, MB | with files, MB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AL_HOME"] = folder
        for title, work in kinds(os.path.abspath(data), photographs, files):
            show(title, in_a_process(work))
        strategies()
        for title, served in servers().items():
            show(title, served())
    nothing = in_a_process(idle)
    print(f"\nA Python that has imported torch and does nothing: {nothing.private / 1e6:,.0f} MB "
          f"private, {nothing.resident / 1e6:,.0f} with files.")  # fmt: skip


class Most:
    """The most memory seen of a process and of those that it started, in bytes."""

    def __init__(self) -> None:
        self.private, self.resident = 0, 0

    def look(self, pid: int) -> None:
        private, resident = 0, 0
        for one in [pid, *started_by(pid)]:
            with suppress(OSError, KeyError):  # it has ended
                private += in_memory("RssAnon", one)
                resident += in_memory("VmHWM", one)
        self.private, self.resident = max(self.private, private), max(self.resident, resident)


def started_by(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that they have."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                yield child
                yield from started_by(child)


@contextmanager
def watched(pid: int) -> Iterator[Most]:
    """What a process takes at most until the block ends."""
    most, ended = Most(), threading.Event()

    def watch() -> None:
        while not ended.wait(PAUSE):
            most.look(pid)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        ended.set()
        watching.join()


def in_a_process(work: Work) -> Most:
    """What ``work`` takes at most."""
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start()
    assert process.pid is not None
    with watched(process.pid) as most:
        process.join()
    if process.exitcode:
        raise click.ClickException("It ended with an error, which stands above.")
    return most


def show(title: str, most: Most) -> None:
    print(f"| {title} | {most.private / 1e6:,.0f} | {most.resident / 1e6:,.0f} |", flush=True)


def kinds(data: str, photographs: str | None, files: int) -> Iterable[tuple[str, Work]]:
    """Kinds of work, by what they are called; later ones use what earlier ones have left."""
    from benchmarks.large_folder import write_many
    from benchmarks.pictures import photograph

    many, large = under_home("many"), under_home("photographs")
    write_many(many, files, "kind")
    for i in range(0 if photographs else 100):
        photograph(large / f"{i:03}.jpg")
    yield f"list a folder of {files:,} files", partial(list_folder, str(many))
    yield f"read {files:,} small JPEGs for the first time", partial(read, str(many))
    yield f"open these {files:,} from the cache", partial(read, str(many))
    yield "read 100 photographs of 12 megapixels", partial(read, photographs or str(large))
    yield "read CIFAR-10 for the first time", partial(read, data)
    yield "open CIFAR-10 from the cache", partial(read, data)
    in_a_process(partial(prepare, data))
    yield "a round of a network, with scoring", partial(train, data)
    weights, features = str(under_home(WEIGHTS)), str(under_home("features"))
    for size in (32, 64):
        out = f"{features}{size}"
        words = ("embed", "--data", data, "--weights", weights, "--image-size", f"{size}")
        yield f"features at {size} pixels", partial(command, *words, "--out", out)
    yield "a round of a linear head on features", partial(train, data, f"{features}32")
    learned = str(under_home("learned.safetensors"))
    words = ("pretrain", "--data", data, "--minutes", "1", "--out", learned)
    yield "learn features", partial(command, *words)
    words = ("simulate", "--data", data, "--rounds", "1", "--epochs", "1", "--min-steps", "4")
    yield "a simulation", partial(command, *words, "--out", str(under_home("simulation.csv")))
    export, many_labels = ("export", "--experiment", "many"), f"{LABELLED:,} images"
    for form, name in (("folders", "many.zip"), ("parquet", "many.parquet")):
        words = (*export, "--as", form, "--out", str(under_home(name)))
        yield f"export {many_labels} as {name.partition('.')[2]}", partial(command, *words)
    table = str(under_home("many.csv"))
    in_a_process(partial(command, *export, "--out", table))
    words = ("import", "--experiment", "few", "--labels", table)
    yield f"import labels of {many_labels}", partial(command, *words)
    yield "a backup", partial(command, "backup", str(under_home("backup.db")))


def strategies() -> None:
    """Print what those take that take most, of a choice among random embeddings."""
    from al_core.strategies.registry import STRATEGIES, titled

    taken = {name: in_a_process(partial(choose_by, name)) for name in STRATEGIES}
    for name in sorted(taken, key=lambda name: -taken[name].private)[:SHOWN]:
        show(f"{titled(name)}'s choice of {EMBEDDINGS:,}", taken[name])


def servers() -> dict[str, Callable[[], Most]]:
    """Servers of the desk, of which one tab is open: they alone are counted."""
    return {
        "a desk, CIFAR-10 open in one tab": partial(desk, trains=False),
        "a desk while a round trains": partial(desk, trains=True),
        "a desk while it reads the large folder": desk_that_reads,
    }


def desk(trains: bool) -> Most:
    from playwright.sync_api import expect

    from al_core.experiment.experiment import open_experiment
    from al_core.store.store import Store
    from tests.servers import chromium, serving

    def rounds() -> int:
        return len(open_experiment(Store(), "network").rounds)

    number, before = open_experiment(Store(), "network").id, rounds()
    with serving() as server, watched(server.pid) as most, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{server.url}/?experiment={number}")
        expect(page.get_by_test_id("tile")).to_have_count(ASKED, timeout=WAITS)
        page.wait_for_timeout(10_000)  # torch is imported meanwhile
        if trains:
            page.keyboard.press("Control+a")
            page.keyboard.press("1")
            page.keyboard.press("Enter")
            while rounds() == before:
                page.wait_for_timeout(1000)
    return most


def desk_that_reads() -> Most:
    from playwright.sync_api import expect

    from benchmarks.large_folder import filled, opened, started
    from tests.servers import APP, chromium, serving

    folder, home = str(under_home("many")), under_home("desk")  # where it was not read before
    with (
        serving(home, APP, "--data", folder) as server,
        watched(server.pid) as most,
        chromium() as browser,
    ):
        page = browser.new_page()
        opened(page, server.url)
        filled(page, classes=True)
        started(page)
        reading = page.get_by_text("Reading the images of")
        expect(reading).to_have_count(0, timeout=WAITS)
    return most


def under_home(name: str) -> Path:
    return Path(os.environ["AL_HOME"], name)


def idle() -> None:
    import torch  # noqa: F401


def list_folder(source: str) -> None:
    from al_core.images.survey import survey
    from al_core.progress import finish

    finish(survey(source, cache_dir=under_home("cache")))


def read(source: str) -> Dataset:
    from al_core.images.dataset_cache import load
    from al_core.progress import finish

    return finish(load(source, cache_dir=under_home("cache")))


def command(*words: str) -> None:
    """One of the program's own."""
    from al_core.cli.main import main

    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        main(words, standalone_mode=False)


def train(data: str, features: str = "") -> None:
    """The first round of an experiment on a network, or on a folder of features."""
    from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
    from al_core.experiment.start import start_experiment
    from al_core.loop.advance import advance
    from al_core.models.hardware import find_hardware
    from al_core.progress import finish
    from al_core.store.store import Store

    store, dataset = Store(), read(data)
    model = ModelConfig(head="linear", embeddings=features) if features else ModelConfig()
    few = TrainConfig(epochs=1, min_steps=4)
    config = ExperimentConfig(data, initial=1000, per_round=ASKED, model=model, train=few)
    name = "head" if features else "network"
    experiment = start_experiment(store, name, config, dataset)
    finish(advance(store, experiment, dataset, find_hardware()))


def choose_by(strategy: str) -> None:
    from benchmarks.strategies import measure

    measure(strategy, EMBEDDINGS, 1)


def prepare(data: str) -> None:
    """Random weights in a file; experiments with labels of most of the pool, and of few images."""
    import torch

    from al_core.config import ExperimentConfig
    from al_core.experiment.start import start_experiment
    from al_core.models.hardware import find_hardware
    from al_core.models.network import build
    from al_core.models.weights import save_backbone
    from al_core.store.store import Store

    dataset = read(data)
    for name, initial in (("many", LABELLED), ("few", 10)):
        config = ExperimentConfig(data, initial=initial)
        start_experiment(Store(), name, config, dataset)
    chance = torch.Generator().manual_seed(0)
    network = build(10, "torchvision", find_hardware(), dataset.train.images, chance)
    save_backbone(network, under_home(WEIGHTS), {})


if __name__ == "__main__":
    main()
