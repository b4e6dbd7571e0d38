"""A folder of pictures that a test changes, and an experiment on it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from al_core.config import ExperimentConfig
from al_core.exchange.labels import export_labels
from al_core.experiment.changes import changes_since, in_words
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load_again
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.store.store import Store

SIZE = 8
NAMES = [f"{letter}.png" for letter in "abcdef"]


def pixels(picture: int) -> np.ndarray:
    """What a picture shows, uint8 [8,8,3]."""
    return np.random.default_rng(picture).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def write(path: Path, picture: int, rating: int = 0) -> None:
    """Write a picture; the same with another ``rating`` has other bytes and the same pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = PngInfo()
    about.add_text("rating", str(rating))
    Image.fromarray(pixels(picture)).save(path, "PNG", pnginfo=about)


class Desk:
    """A folder and an experiment on it."""

    def __init__(self, home: Path, typed: tuple[str, ...] = ("cat", "dog"), **config) -> None:
        self.home, self.folder = home, home / "pictures"
        self.store = Store(f"sqlite:///{home / 'al.db'}")
        plain = {"initial": 2, "initial_labels": "person", "per_round": 2, "rounds": 1}
        self.config = ExperimentConfig(
            data=str(self.folder), image_size=SIZE, class_names=typed, **(plain | config)
        )

    def read(self, folder: Path | None = None) -> Dataset:
        return finish(
            load_again(
                str(folder or self.folder), image_size=SIZE, cache_dir=self.home / "cache",
                folders_are_classes=True, moved_from=str(self.folder) if folder else "",
            )
        )  # fmt: skip

    def start(self) -> Experiment:
        self.source = self.read()
        self.number = start_experiment(self.store, "mine", self.config, self.source)
        return self.experiment

    def look(self) -> Experiment:
        """The program is started again."""
        self.source = self.read()
        bring_up_to_date(self.store, self.number, self.source)
        return self.experiment

    @property
    def experiment(self) -> Experiment:
        return open_experiment(self.store, self.number)

    @property
    def images(self) -> Dataset:
        return images_of(self.experiment, self.source)

    def at(self, name: str) -> int:
        return self.experiment.manifest.positions[name]

    def say(self, name: str, label: int, who: str = "ada") -> int:
        image = self.at(name)
        key = self.images.train.keys[image]
        self.store.append(self.number, [Annotation(image, label, 0, who, key=key)])
        return image

    def told(self, since: int = 0) -> str:
        return in_words(changes_since(self.experiment.manifest, since))

    def state(self, image: int) -> str:
        return self.experiment.manifest.pool[image].state

    def rows(self) -> dict[str, str]:
        """The labels that an export gives to each key."""
        file = io.StringIO()
        export_labels(self.experiment, file)
        lines = [line.split(",") for line in file.getvalue().splitlines()[1:]]
        return {line[0]: line[3] for line in lines}


def of_six(home: Path) -> Desk:
    """Six pictures in one folder, of which two are labelled."""
    made = Desk(home)
    for picture, name in enumerate(NAMES):
        write(made.folder / name, picture)
    made.start()
    made.say("a.png", 0)
    made.say("b.png", 1)
    return made
