"""Simulations on disk: each is an experiment with its own database, and a note beside it."""

from __future__ import annotations

import json
import shutil
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_core.analysis.curves import Curve, curve_of
from al_core.config import ExperimentConfig
from al_core.errors import ActiveLearningError, ConfigError, StoreError
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.start import start_experiment
from al_core.files.atomic import whole_file
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.models.metrics import Measure
from al_core.strategies.registry import titled

if TYPE_CHECKING:
    from al_core.store.store import Store

# The settings of an experiment that a simulated round depends on.
DEPENDS_ON = (
    "strategy", "initial", "start", "per_round", "model", "train", "seed", "image_size",
    "class_names",
)  # fmt: skip
DAMAGE = (OSError, LookupError, TypeError, ValueError, AttributeError)  # what a bad note raises
FORMAT = 7  # raise it when rounds or strategies change: older simulations are run again
NOTE = "simulation.json"


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated experiment: its settings, and who labels (see
    :func:`al_core.simulation.simulate.find_annotator`)."""

    config: ExperimentConfig
    annotator: str = "truth"

    @property
    def settings(self) -> dict[str, Any]:
        """What a reader of the table wants to know besides strategy and seed."""
        config = self.config
        return {
            "data": config.data,
            "annotator": self.annotator,
            "head": config.model.head,
            "embeddings": config.model.embeddings,
            "start": config.start,
            "initial": config.initial,
            "per_round": config.per_round,
            "weights": config.model.weights,
            "stem": config.model.stem,
            "image_size": config.image_size,
            **({"prompts": config.model.prompts} if config.model.knows_words else {}),
            **asdict(config.train),
        }


def saved_curves(measure: Measure = "accuracy") -> list[Curve]:
    """The curves of all simulations on disk, one for each strategy and seed. Runs that differ in
    their seed alone share a name."""
    curves = []
    taken: dict[str, str] = {}
    for note in sorted((home() / "simulations").glob(f"*/{NOTE}")):
        with suppress(*DAMAGE, ActiveLearningError):
            kept = json.loads(note.read_text(encoding="utf-8"))
            log = note.with_name("al.db")
            changed = max(path.stat().st_mtime_ns for path in log.parent.glob("al.db*"))
            experiment = _experiment_in(log, changed)
            curve = curve_of(experiment, measure)
            if kept["format"] != FORMAT:
                continue
            name = first = _name(experiment.config.strategy, kept["settings"])
            number = 1
            while taken.setdefault(name, kept["runs_of"]) != kept["runs_of"]:
                number += 1  # the same words, but other files or images
                name = f"{first} [{number}]"
            if curve is not None:
                curves.append(replace(curve, name=name, low=None, high=None))
    return curves


@lru_cache(1000)
def _experiment_in(log: Path, changed: int) -> Experiment:
    """The experiment in a database, cached until the database changes."""
    with closing(_store(log)) as store:
        return open_experiment(store, 1)


def _name(strategy: str, settings: dict[str, Any]) -> str:
    """The name by which people tell one group of curves from another."""
    words = [titled(strategy), Path(settings["data"]).name]
    if settings["annotator"] != "truth":
        words.append(settings["annotator"].rpartition(":")[2])
    if settings["embeddings"]:
        words.append(f"linear on {Path(settings['embeddings']).stem}")
    if settings["weights"] != "none":
        words.append(settings["weights"])
    if settings["start"] != "random":
        words.append(f"started by {titled(settings['start'])}")
    if settings["stem"] != "auto":
        words.append(f"{settings['stem']} stem")
    if not settings["embeddings"]:
        words.append(f"{settings['epochs']:,} epochs, at least {settings['min_steps']:,} steps")
    if settings["class_weights"] != "off":
        words.append(f"class weights {settings['class_weights']}")
    return f"{', '.join(words)} ({settings['initial']:,} + {settings['per_round']:,} a round)"


def _store(log: Path) -> Store:
    from al_core.store.store import Store  # with SQLAlchemy

    return Store(f"sqlite:///{log}")


def open_simulation(
    simulation: Simulation, dataset: Dataset, features: str
) -> tuple[Store, Experiment]:
    """The store of a simulation and its experiment, created where it is missing or damaged.
    ``features`` is the digest of the weights or embeddings.

    Where the truth labels the random first images, those labels are in the log from the start, as
    at the desk. No images are held out, since only a test set measures.
    """
    by_truth = simulation.annotator == "truth" and simulation.config.start == "random"
    config = replace(
        simulation.config,
        class_names=dataset.train.class_names,
        initial_labels="truth" if by_truth else "person",
        held_out_share=0.0,
    )
    depends_on = _all_that_matters(config, simulation.annotator, dataset.fingerprint, features)
    folder = home() / "simulations" / _digest(depends_on)
    try:
        store = _store(folder / "al.db")
        if store.experiments():
            store.change_config(1, {"rounds": config.rounds})
            return store, open_experiment(store, 1)
    except (StoreError, ConfigError):
        shutil.rmtree(folder, ignore_errors=True)
        store = _store(folder / "al.db")
    start_experiment(store, "simulation", config, dataset)
    note = {
        "format": FORMAT,
        "settings": simulation.settings,
        "runs_of": _digest({**depends_on, "strategy": "", "seed": ""}),
    }
    with whole_file(folder / NOTE) as file:
        file.write(json.dumps(note).encode())
    return store, open_experiment(store, 1)


def _all_that_matters(
    config: ExperimentConfig, annotator: str, images: str, features: str
) -> dict[str, Any]:
    """Everything the rounds of a simulation depend on, with the digests of its files, but without
    the number of rounds and settings for the page alone."""
    values = config.to_json()
    # The contents of files matter, not their paths, nor what they are said to hold.
    for name in ("learn_minutes", "embeddings", "architecture"):
        del values["model"][name]
    file, colon, _ = annotator.rpartition(":")
    if colon:
        with suppress(OSError):
            annotator += blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
    more = {"annotator": annotator, "images": images, "features": features, "format": FORMAT}
    return {name: values[name] for name in DEPENDS_ON} | more


def _digest(values: dict[str, Any]) -> str:
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=12).hexdigest()
