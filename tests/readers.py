"""Files of each kind that the program reads, whole to begin with, and what reads them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import save_file
from squares import CPU
from tiny import encoded, folder_of, loaded, shard

from al_core.analysis.curves import read_curves
from al_core.analysis.pool_map import PoolMap, load_map, save_map
from al_core.config import ExperimentConfig
from al_core.errors import ActiveLearningError, WeightsError
from al_core.exchange.labels import read_labels
from al_core.experiment.predictions import (
    MeasuredPredictions,
    PoolPredictions,
    load_measured,
    load_predictions,
    save_measured,
    save_predictions,
)
from al_core.experiment.ready_batch import load_ready, save_ready
from al_core.features.embedding_files import settled_files, write_file
from al_core.features.read import read_features
from al_core.images.dataset import Dataset, identities
from al_core.models.weights import load_network, read_weights
from al_core.simulation.on_disk import FORMAT, NOTE, saved_curves
from al_core.simulation.simulate import find_annotator
from al_core.store.records import Batch, Reasons, RoundRecord
from al_core.store.store import Store

PETS = ("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")


@dataclass(frozen=True)
class Reader:
    """A file that is whole to begin with, and what reads it."""

    path: Path
    read: Callable[[], object]


def pictures(kind: str) -> Callable[[Path, Dataset], Reader]:
    def make(home: Path, _: Dataset) -> Reader:
        folder = folder_of(home / kind, *PETS)
        path = folder / "cat" / f"x.{kind.lower()}"
        noise = Image.effect_noise((24, 20), 80).convert("RGB")
        how = {"save_all": True, "append_images": [noise]} if kind == "GIF" else {}
        path.write_bytes(encoded(noise, kind, **how))
        return Reader(path, lambda: loaded(folder, home / "cache"))

    make.__name__ = kind
    return make


def parquet(home: Path, _: Dataset) -> Reader:
    path = shard(home / "x.parquet", [0, 1] * 4)
    return Reader(path, lambda: loaded(path, home / "cache"))


def arrow(home: Path, _: Dataset) -> Reader:
    table = pq.read_table(shard(home / "x.parquet", [0, 1] * 4))
    path = home / "x.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return Reader(path, lambda: loaded(path, home / "cache"))


def zipped(home: Path, _: Dataset) -> Reader:
    pets = folder_of(home / "pets", *PETS)
    path = Path(shutil.make_archive(str(home / "pets"), "zip", pets))
    return Reader(path, lambda: loaded(path, home / "cache"))


def table_of_labels(home: Path, _: Dataset) -> Reader:
    pets = folder_of(home / "pets", "1.png", "2.png", "3.png")
    path = pets / "metadata.jsonl"
    path.write_text("".join(f'{{"file_name": "{i}.png", "label": {i % 2}}}\n' for i in (1, 2, 3)))
    return Reader(path, lambda: loaded(pets, home / "cache"))


def archive(home: Path, _: Dataset) -> Reader:
    path = home / "cifar-10-python.tar.gz"
    path.write_bytes(os.urandom(500))

    def read() -> None:
        with pytest.raises(ActiveLearningError):  # its md5 is never right
            loaded(path, home / "cache")

    return Reader(path, read)


def index_of_the_cache(home: Path, _: Dataset) -> Reader:
    folder = folder_of(home / "pets", *PETS)
    loaded(folder, home / "cache")
    path = next((home / "cache").glob("*/index.json"))
    return Reader(path, lambda: loaded(folder, home / "cache"))


def labels(home: Path, dataset: Dataset) -> Reader:
    path = home / "labels.csv"
    rows = "".join(f'{i},"{i % 3}"\n' for i in range(6))
    path.write_text(f"key,class_name\n{rows}")
    return Reader(path, lambda: read_labels(path.read_bytes(), dataset, ("0", "1", "2")))


def curves(home: Path, _: Dataset) -> Reader:
    path = home / "curves.csv"
    path.write_text("strategy,seed,labeled,test_accuracy\nmargin,0,10,0.5\nmargin,0,20,0.75\n")
    return Reader(path, lambda: read_curves(path.read_bytes(), path.name))


def annotator(home: Path, dataset: Dataset) -> Reader:
    path = home / "people.npz"
    np.savez_compressed(path, ada=dataset.train.targets)
    return Reader(path, lambda: find_annotator(f"{path}:ada", dataset))


def embeddings_in_one(home: Path, dataset: Dataset) -> Reader:
    path = home / "embeddings.npz"
    np.savez(path, train=np.ones((60, 2), np.float32), test=np.ones((30, 2), np.float32))
    return Reader(path, lambda: read_features(path, dataset))


def embedding_files(home: Path, dataset: Dataset) -> Path:
    for path, images in settled_files(home / "embeddings", dataset).items():
        rows = np.ones((len(images), 2), np.float16)
        write_file(path, images.keys, identities(images).tolist(), rows)
    return path


def embeddings_in_a_folder(home: Path, dataset: Dataset) -> Reader:
    path = embedding_files(home, dataset).with_suffix(".npy")
    return Reader(path, lambda: read_features(path.parent, dataset))


def digests_in_a_folder(home: Path, dataset: Dataset) -> Reader:
    path = embedding_files(home, dataset)
    return Reader(path, lambda: read_features(path.parent, dataset))


def weights(home: Path, _: Dataset) -> Reader:
    path = home / "weights.safetensors"
    save_file({"conv1.weight": np.ones((2, 3, 3, 3), np.float32)}, path, {"method": "none"})

    def read() -> None:
        with pytest.raises(ActiveLearningError):  # it holds too little in any case
            read_weights(path)
        with pytest.raises(WeightsError, match="missing or damaged"):
            load_network(path, CPU)

    return Reader(path, read)


def mine(home: Path) -> Path:
    """Where the files of the first experiment lie."""
    return home / "weights/1"


def predictions(home: Path, _: Dataset) -> Reader:
    half = np.full((9, 4), 0.5, np.float16)
    save_predictions(mine(home), PoolPredictions(0, np.full((9, 2), 0.5, np.float32), half))
    return Reader(
        home / "weights/1/predictions-0/probs.npy", lambda: load_predictions(mine(home), 0)
    )


def predictions_of_test_images(home: Path, _: Dataset) -> Reader:
    half = np.full((9, 2), 0.5, np.float32)
    save_measured(mine(home), 0, MeasuredPredictions("test", np.arange(9), half))
    return Reader(home / "weights/1/test-0.npy", lambda: load_measured(mine(home), 0))


def batch_in_advance(home: Path, _: Dataset) -> Reader:
    reasons = Reasons(9, [[(0, 0.5)]] * 2, [1, 2], [[3], [4]])
    batch = Batch(1, "margin", [5, 6], None, reasons=reasons)
    save_ready(mine(home), batch)

    def read() -> None:
        kept = load_ready(mine(home), 1)
        assert kept is None or list(kept.images) == [5, 6]

    return Reader(home / "weights/1/ready.json", read)


def pool_map(home: Path, _: Dataset) -> Reader:
    save_map(mine(home), PoolMap(0, np.arange(5), np.zeros((5, 2), np.float32)))
    return Reader(home / "weights/1/map.npz", lambda: load_map(mine(home)))


def simulation(home: Path, _: Dataset) -> Reader:
    settings_of = {
        "data": "digits", "annotator": "truth", "embeddings": "", "weights": "none", "epochs": 1,
        "start": "random", "stem": "auto", "min_steps": 1, "initial": 1, "per_round": 1,
    }  # fmt: skip
    folder = home / "simulations" / "x"
    store = Store(f"sqlite:///{folder / 'al.db'}")
    store.create_experiment("simulation", ExperimentConfig().to_json(), "f00d", 100)
    metrics = {"accuracy": 0.5, "on": "test"}
    store.add_round(1, RoundRecord(0, 10, metrics, [], 0, 0, 0, 0, 0), None)
    store.close()
    path = folder / NOTE
    path.write_text(json.dumps({"format": FORMAT, "settings": settings_of, "runs_of": "a"}))

    def read() -> None:
        for curve in saved_curves():
            assert 0 <= min(curve.at("labeled", np.array([10.0]))) <= 1

    return Reader(path, read)


def settings_in_the_log(home: Path, _: Dataset) -> Reader:
    path = home / "config.json"
    path.write_text(json.dumps(ExperimentConfig(class_names=("a", "b")).to_json()))

    def read() -> None:
        try:
            values = json.loads(path.read_bytes())
        except ValueError:
            values = None  # as the store reads it
        ExperimentConfig.from_json(values)

    return Reader(path, read)


READERS = [
    pictures("PNG"), pictures("JPEG"), pictures("GIF"), pictures("BMP"),
    pictures("TIFF"), pictures("WEBP"), parquet, archive, index_of_the_cache, labels,
    arrow, zipped, table_of_labels,
    curves, annotator, embeddings_in_one, embeddings_in_a_folder, digests_in_a_folder,
    weights, predictions, predictions_of_test_images, batch_in_advance,
    pool_map, simulation, settings_in_the_log,
]  # fmt: skip
