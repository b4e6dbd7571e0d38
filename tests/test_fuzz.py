"""Every reader, given files that were damaged at random: it reads what it can, or says in a
sentence that it cannot. It raises nothing else, and takes no more memory than there is."""

from __future__ import annotations

import json
import os
import re
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file
from squares import of_squares
from tiny import encoded, folder_of, loaded, shard

from al_core.analysis.curves import read_curves
from al_core.analysis.pool_map import PoolMap, load_map, save_map
from al_core.config import ExperimentConfig
from al_core.errors import ActiveLearningError
from al_core.exchange.labels import read_labels
from al_core.experiment.predictions import (
    PoolPredictions,
    load_predictions,
    load_test_predictions,
    save_predictions,
    save_test_predictions,
)
from al_core.experiment.ready_batch import load_ready, save_ready
from al_core.features.embedding_files import settled_files, write_file
from al_core.features.read import read_features
from al_core.images.dataset import Dataset, digests_of
from al_core.models.hardware import Hardware
from al_core.models.weights import load_network, read_weights
from al_core.simulation.on_disk import FORMAT, NOTE, saved_curves
from al_core.simulation.simulate import find_annotator
from al_core.store.records import Batch, Reasons, RoundRecord
from al_core.store.store import Store

CPU = Hardware.__new__(Hardware)
EXAMPLES = 20  # for each reader
MEMORY = 6 << 30  # bytes of addresses; a header may claim far more


@dataclass(frozen=True)
class Reader:
    """A file that is whole to begin with, and what reads it."""

    path: Path
    read: Callable[[], object]


def pictures(kind: str) -> Callable[[Path, Dataset], Reader]:
    def make(home: Path, _: Dataset) -> Reader:
        folder = folder_of(home / kind, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
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


def archive(home: Path, _: Dataset) -> Reader:
    path = home / "cifar-10-python.tar.gz"
    path.write_bytes(os.urandom(500))

    def read() -> None:
        with pytest.raises(ActiveLearningError):  # its md5 is never right
            loaded(path, home / "cache")

    return Reader(path, read)


def index_of_the_cache(home: Path, _: Dataset) -> Reader:
    folder = folder_of(home / "pets", "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
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
        write_file(path, images.keys, digests_of(images).tolist(), rows)
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
        with pytest.raises(ActiveLearningError):
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
    save_test_predictions(mine(home), 0, np.full((9, 2), 0.5, np.float32))
    return Reader(home / "weights/1/test-0.npy", lambda: load_test_predictions(mine(home), 0))


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
    curves, annotator, embeddings_in_one, embeddings_in_a_folder, digests_in_a_folder,
    weights, predictions, predictions_of_test_images, batch_in_advance,
    pool_map, simulation, settings_in_the_log,
]  # fmt: skip


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """One to four changes: bytes overwritten, cut out, put in, said twice; or the end is missing.

    Half of them are near the beginning, where headers are."""
    changes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["flip", "cut", "insert", "repeat", "end", "digit"]),
                st.floats(0, 1) | st.floats(0, 0.1),
                st.binary(min_size=1, max_size=8),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def damaged(whole: bytes) -> bytes:
        for kind, where, new in changes:
            at = int(where * len(whole))
            match kind:
                case "flip":
                    whole = whole[:at] + new + whole[at + len(new) :]
                case "cut":
                    whole = whole[:at] + whole[at + len(new) :]
                case "insert":
                    whole = whole[:at] + new + whole[at:]
                case "repeat":
                    whole = whole[: at + 20 * len(new)] + whole[at:]
                case "end":
                    whole = whole[:at]
                case "digit":  # the next one is nine, many times over
                    after = next(
                        (i for i in range(at, len(whole)) if whole[i : i + 1].isdigit()), at
                    )
                    whole = whole[:after] + b"9" * len(new) + whole[after + 1 :]
        return whole

    return damaged


@pytest.fixture
def little_memory() -> Iterator[None]:
    """What asks for more fails, instead of taking the machine with it."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted by Linux here")
@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
def test_a_damaged_file_is_read_or_refused_in_a_sentence(
    make: Callable[[Path, Dataset], Reader],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    little_memory: None,
) -> None:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    reader = make(tmp_path, of_squares())
    reader.read()
    whole = reader.path.read_bytes()

    @settings(max_examples=EXAMPLES)
    @given(damage())
    def read_damaged(how: Callable[[bytes], bytes]) -> None:
        reader.path.unlink(missing_ok=True)  # what is mapped of it stays as it was
        reader.path.write_bytes(how(whole))
        try:
            reader.read()
        except ActiveLearningError as error:
            text = str(error)
        else:
            text = "It was read."
        assert re.fullmatch(r"[^\r\n]+\.", text), text

    read_damaged()
