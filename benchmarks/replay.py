"""Replayed on other threads: ``python -m benchmarks.replay`` prints how much is the same.

An annotator who knows the truth labels a few rounds, in a temporary folder; then the program's own
command chooses each batch again, with as many threads as it was chosen with, and with others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import torch

from al_core.config import ExperimentConfig
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.loop.advance import advance
from al_core.models.hardware import find_hardware
from al_core.progress import finish
from al_core.store.records import TRUTH, Annotation
from al_core.store.store import Store
from benchmarks.browser import heading


@click.command()
@click.option("--data", default="digits", show_default=True)
@click.option("--strategy", default="margin", show_default=True)
@click.option("--initial", default=100, show_default=True)
@click.option("--per-round", default=50, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", multiple=True, type=int, default=(2, 1), show_default=True,
              help="To replay with; the first are those it is labelled with.")  # fmt: skip
def main(data: str, threads: tuple[int, ...], **settings: int | str) -> None:
    """Label, replay, compare."""
    config = ExperimentConfig(data=data, random_baseline=False, **settings)
    heading(f"{data}, {config.strategy}, {config.initial} and {config.rounds} x {config.per_round}")
    torch.set_num_threads(threads[0])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AL_HOME"] = folder
        label(config, finish(load(data, cache_dir=Path(folder) / "cache")))
        for number in threads:
            command = [sys.executable, "-m", "al_core", "replay", "--experiment", "replayed"]
            ended = subprocess.run(
                [*command, "--threads", str(number)],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
            )  # fmt: skip
            print(ended.stdout, flush=True)


def label(config: ExperimentConfig, dataset: Dataset) -> None:
    """All rounds of an experiment, with the truth as annotator."""
    store, hardware = Store(), find_hardware()
    experiment = start_experiment(store, "replayed", config, dataset)
    for number in range(config.rounds + 1):
        finish(advance(store, experiment, dataset, hardware))
        if number < config.rounds:
            (batch,) = open_experiment(store, experiment).open_batches
            store.append(experiment, [
                Annotation(image, int(dataset.train.targets[image]), batch.round, TRUTH)
                for image in batch.images
            ])  # fmt: skip
            store.hand_in(batch.id)


if __name__ == "__main__":
    main()
