"""Experiments with everything that a desk keeps for them, and what would tell of one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file
from torchvision import models

from al_core.cli.main import main
from al_core.experiment.experiment import open_experiment
from al_core.experiment.predictions import PoolPredictions, save_predictions
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.experiment.start import start_experiment
from al_core.features.embed import frozen_features
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load_again
from al_core.models.hardware import find_hardware
from al_core.pictures.thumbnails import Thumbnails
from al_core.progress import finish
from al_core.simulation.on_disk import Simulation, open_simulation
from al_core.store.records import Annotation
from al_core.store.store import Store
from al_core.store.tables import metadata
from tests.encoders import frozen
from tests.folder_desk import Desk, write


def al_core(*words: object) -> Result:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == 0, ended.output
    return ended


class House:
    """Experiments with everything that a desk keeps for them."""

    def __init__(self, home: Path, weights: Path) -> None:
        self.home, self.weights = home, weights
        self.store = Store()
        self.thumbnails = Thumbnails(home / "cache" / "thumbnails", 1e9)
        self.config = Desk(home, per_round=1).config

    def start(self, name: str, folder: Path) -> int:
        """An experiment on a folder, labelled, trained, embedded, shown and simulated."""
        config = replace(self.config, data=str(folder))
        source = self.read(folder)
        number = start_experiment(self.store, name, config, source)
        self.use(number, source)
        simulation = Simulation(replace(config, initial_labels="truth", initial=3), "truth")
        open_simulation(simulation, source, "")[0].close()
        return number

    def read(self, folder: Path) -> Dataset:
        return finish(
            load_again(
                str(folder), image_size=8, cache_dir=self.home / "cache", folders_are_classes=True
            )
        )

    def use(self, number: int, source: Dataset) -> None:
        bring_up_to_date(self.store, number, source)
        experiment = open_experiment(self.store, number)
        images = images_of(experiment, source)
        for image, key in enumerate(images.train.keys):
            new = [Annotation(image, image % 2, 0, f"ada of {number}", key=key)]
            self.store.append(number, new)
        finish(frozen_features(frozen(self.weights), images, find_hardware()))
        embeddings = np.zeros((experiment.pool_size, 4), np.float16)
        probs = np.zeros((experiment.pool_size, 2), np.float32)
        save_predictions(self.store.folder(number), PoolPredictions(0, probs, embeddings))
        for row in self.store.images(number):
            if row.digest:
                self.thumbnails.of(lambda: source.pictures, bytes.fromhex(row.digest))

    def needles(self, number: int) -> dict[bytes, str]:
        """What would tell of an experiment: its name, its people, and of its pictures the names and
        the digests, as text and as bytes; the blocks of its manifest as they are compressed."""
        record = open_experiment(self.store, number)
        found = {record.name.encode(): "its name", f"ada of {number}".encode(): "its annotator"}
        for row in self.store.images(number):
            found[row.key.encode()] = f"the name {row.key}"
            for text in (row.digest, row.shows):
                found[bytes.fromhex(text)] = f"the digest of {row.key}"
                found[text.encode()] = f"the digest of {row.key} as text"
        query = "SELECT body, digest, experiment_id FROM images"
        with closing(sqlite3.connect(self.home / "al.db")) as database:
            blocks = database.execute(query).fetchall()
        rest = b"".join(body for body, _, whose in blocks if whose != number)
        for body, digest, whose in blocks:
            if whose == number:
                pieces = [body[at : at + 30] for at in range(0, len(body), 30)]
                found |= {piece: "its manifest" for piece in pieces if piece not in rest}
                found[digest.encode()] = "the digest of its manifest"
        return found

    def files(self) -> dict[str, bytes]:
        """All files but those of the database itself, and locks."""
        return {
            str(path.relative_to(self.home)): path.read_bytes()
            for path in self.home.rglob("*")
            if path.is_file() and not path.name.startswith("al.db") and path.suffix != ".lock"
        }

    def rows(self, number: int) -> dict[str, list[tuple]]:
        with closing(sqlite3.connect(self.home / "al.db")) as database:
            tables = [table.name for table in metadata.sorted_tables if "experiment_id" in table.c]
            assert {"annotations", "batches", "class_changes", "images", "rounds"} <= {*tables}
            return {
                table: database.execute(
                    f"SELECT * FROM {table} WHERE experiment_id = ?", (number,)
                ).fetchall()
                for table in tables
            }


def told(home: Path, needles: dict[bytes, str], but: Path) -> list[str]:
    """Where a file below ``home`` that does not lie in ``but`` still tells of an experiment, in its
    content or in its name."""
    found = []
    for path in home.rglob("*"):
        if but in path.parents:
            continue
        content = str(path).encode() + (path.read_bytes() if path.is_file() else b"")
        found += [f"{what} in {path}" for needle, what in needles.items() if needle in content]
    return found


def pictures(folder: Path, first: int, names: str = "abcdefgh") -> Path:
    """Two classes of pictures with names that no other folder has."""
    for number, letter in enumerate(names):
        kind = ("cat", "dog")[number % 2]
        write(folder / kind / f"{folder.name}-{letter}{first}.png", first + number)
    return folder


def untrained(path: Path) -> Path:
    """Write a file of weights that nobody trained, by torchvision's names."""
    torch.manual_seed(0)
    tensors = {
        name: t.contiguous() for name, t in models.resnet18(weights=None).state_dict().items()
    }
    save_file(tensors, path)
    return path
