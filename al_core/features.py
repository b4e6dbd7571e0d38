"""Frozen embeddings: of a file, or of pretrained weights, computed once and kept."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from al_core import network as networks
from al_core.arrays import open_arrays, read_array
from al_core.config import ExperimentConfig
from al_core.errors import ConfigError, WeightsError
from al_core.images import Dataset
from al_core.inference import InferenceNetwork
from al_core.learned import waits_for_features
from al_core.locking import wait_for_lock
from al_core.network import Hardware, Pretrained, find_hardware
from al_core.partitions import NOTE, gather, parts_in
from al_core.predict import BATCH_SIZE, batch_size, predict
from al_core.predictions import BEFORE, PoolPredictions, whole_file
from al_core.progress import Progress, Work, finish
from al_core.store import home
from al_core.weights import pretrained_weights

COMPONENTS = 64
SAMPLE = 5000  # images that the components are found on
BLOCK = BATCH_SIZE  # images reduced at a time
WIDEST = 1 << 20  # bytes that the features of one image may take in a file
PARTS = ("train", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Frozen embeddings: ``train`` float16 ``[N,D]``, ``test`` float16 ``[M,D]``, in the order of
    the images, perhaps memory-mapped; ``digest`` tells them from others."""

    train: NDArray[np.float16]
    test: NDArray[np.float16]
    digest: str


def read_features(path: Path, dataset: Dataset) -> Features:
    """Read embeddings from an ``.npz`` file with the arrays ``train`` and ``test``, or from a
    folder with ``train.npy`` and ``test.npy``, or with partitions (:mod:`al_core.partitions`).

    Raises ConfigError, in a sentence, where they are missing or do not fit the images.
    """
    try:
        if path.is_dir() and parts_in(path):
            arrays = gather(path, dataset.train.keys, dataset.test.keys)
        elif path.is_dir():
            arrays = [read_array(path / f"{part}.npy") for part in PARTS]
        else:
            most = WIDEST * max(len(dataset.train), len(dataset.test), 1)
            with open_arrays(path, PARTS, most) as file:
                arrays = [file[part] for part in PARTS]
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read as embeddings: it must be an .npz file with the arrays "
            f"“train” and “test”, or a folder that embed has written ({error})."
        ) from error
    half = []
    for name, rows, images in zip(PARTS, arrays, (dataset.train, dataset.test), strict=True):
        if rows.ndim != 2 or len(rows) != len(images) or rows.dtype.kind != "f":
            raise ConfigError(
                f"The embeddings “{name}” in {path} are {rows.dtype}, {rows.shape}; there must be "
                f"{len(images):,} rows of floating-point numbers, one for each image."
            )
        with np.errstate(over="ignore"):
            half.append(rows.astype(np.float16))
        if not np.isfinite(half[-1]).all():
            raise ConfigError(
                f"Some of the embeddings “{name}” in {path} are no numbers, or too large for half "
                "precision, which ends at 65,504."
            )
    digest = blake2b(half[0].tobytes() + half[1].tobytes(), digest_size=8).hexdigest()
    return Features(half[0], half[1], digest)


def frozen_features(weights: str, dataset: Dataset, hardware: Hardware) -> Work[Features]:
    """The features that ``weights`` see in the images of ``dataset``, from the cache where they
    are. Raises WeightsError as :func:`al_core.weights.pretrained_weights` does."""
    pretrained = yield from needed(weights, dataset.fingerprint)
    name = f"{dataset.fingerprint[:24]}-{pretrained.digest}"
    folder = home() / "cache" / "features" / name
    return (yield from embed(dataset, pretrained, hardware, folder))


def features_of(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware
) -> Work[Features | None]:
    """The frozen features that an experiment's heads are trained on; None where it trains a
    network."""
    if config.model.head != "linear":
        return None
    return (yield from frozen_features(config.model.weights, dataset, hardware))


def embed_into(folder: Path, weights: str, dataset: Dataset) -> Work[Features]:
    """The same in a ``folder`` of one's own, which must hold no other features than these, in part
    perhaps. Raises WeightsError where it does."""
    pretrained = yield from needed(weights, dataset.fingerprint)
    claim(folder, f"{dataset.fingerprint[:24]}-{pretrained.digest}")
    return (yield from embed(dataset, pretrained, find_hardware(), folder))


def claim(folder: Path, of: str) -> None:
    """Have a folder for the features ``of`` some images by some weights; raises WeightsError where
    it holds others."""
    note = folder / NOTE
    here = note.read_text(encoding="utf-8") if note.exists() else ""
    if here != of and (here or any(folder.glob("t*.npy")) or parts_in(folder)):
        raise WeightsError(
            f"{folder} holds features of other images or weights; name another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    if here != of:
        with whole_file(note) as file:
            file.write(of.encode())


def needed(weights: str, fingerprint: str) -> Work[Pretrained]:
    """The weights of that name; raises WeightsError also for ``none``."""
    pretrained = yield from pretrained_weights(weights, fingerprint)
    if pretrained is None:
        raise WeightsError("Without weights there are no features; choose some.")
    return pretrained


def embed(
    dataset: Dataset, pretrained: Pretrained, hardware: Hardware, folder: Path
) -> Work[Features]:
    """Embed every image into ``folder``, as ``train.npy`` and ``test.npy``, float16, and map them.

    Stopped anywhere, it goes on where it was. The folder belongs to these images and weights: what
    lies there complete is not computed again. Raises WeightsError where nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = yield from wait_for_lock(folder / "lock")
        try:
            parts = zip(PARTS, (dataset.train.images, dataset.test.images), strict=True)
            todo = [(folder / f"{part}.npy", images) for part, images in parts]
            todo = [(path, images) for path, images in todo if not path.exists()]
            if todo:
                # Once, so exactly: heads and strategies let small differences grow.
                network = frozen(pretrained, hardware.exact)
                for path, images in todo:
                    yield from _embed_part(network, images, hardware, path)
        finally:
            lock.release()
        # Copy on write: torch warns of arrays that cannot be written to, and nothing writes.
        train, test = (np.load(folder / f"{part}.npy", mmap_mode="c") for part in PARTS)
    except OSError as error:
        raise WeightsError(
            f"The features cannot be kept in {folder} ({error}); make room on the disk, or allow "
            "writing there."
        ) from error
    return Features(train, test, f"{dataset.fingerprint[:24]}-{pretrained.digest}")


def frozen(pretrained: Pretrained, hardware: Hardware) -> InferenceNetwork:
    """The network behind the weights, its head of no use, as it was trained."""
    generator = torch.Generator().manual_seed(0)
    nothing = np.empty((0, 3, 1, 1), dtype=np.uint8)
    net = networks.build(1, pretrained.stem, hardware, nothing, generator, pretrained)
    return InferenceNetwork(net, hardware)


def _embed_part(
    network: InferenceNetwork, images: NDArray[np.uint8], hardware: Hardware, path: Path
) -> Work[None]:
    """Embed ``images`` into ``path``: block by block, marking how far it has come."""
    half, mark = path.with_suffix(".part"), path.with_suffix(".done")
    n, width = len(images), network.head.in_features
    done = 0
    with suppress(OSError, ValueError):
        done = int(mark.read_text())
    if not done or not half.exists():
        done = 0
        np.lib.format.open_memmap(half, "w+", np.float16, (n, width)).flush()
    rows = np.lib.format.open_memmap(half, "r+")
    began, start = time.perf_counter(), done
    while done < n:
        block = np.arange(done, min(done + batch_size(hardware), n))
        reports: list[Progress] = []  # the last one says whether memory is short
        work = predict(network, images, block, hardware, "Computing features")
        rows[block] = finish(work, reports.append).embeddings.numpy()
        rows.flush()
        done = int(block[-1]) + 1
        mark.write_text(str(done))
        # At the pace of this run: what was done by an earlier one took no time now.
        seconds = (time.perf_counter() - began) * done / (done - start)
        yield Progress(reports[-1].phase, done, n, "images", seconds)
    del rows
    half.replace(path)
    mark.unlink(missing_ok=True)


def untrained_predictions(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware, features: Features | None = None
) -> Work[PoolPredictions]:
    """What is known of the training images before any label: nothing is likelier than anything
    else, but they have embeddings, ``features`` where those are given.

    Otherwise they come from the weights that the experiment starts from, and without any, or before
    they are learned, they are the images' own first 64 principal components: a network with
    random weights tells classes apart less well (31 against 37% by nearest neighbours on CIFAR-10,
    94 against 97% on digits).
    """
    is_there = config.model.weights != "none" and not waits_for_features(
        config, dataset.fingerprint
    )
    if features is None and is_there:
        features = yield from frozen_features(config.model.weights, dataset, hardware)
    if features is not None:
        embeddings = features.train
    else:
        embeddings = yield from _principal_components(dataset.train.images)
    classes = len(config.class_names)
    even = np.full((len(dataset.train), classes), 1 / classes, dtype=np.float32)
    return PoolPredictions(BEFORE, even, embeddings, by_pixels=features is None)


def _principal_components(images: NDArray[np.uint8]) -> Work[NDArray[np.float16]]:
    """``[N,C,H,W]`` to ``[N,64]``, or as many as there are."""
    from sklearn.decomposition import PCA

    def flat(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        return rows.reshape(len(rows), -1).astype(np.float32) / np.float32(255)

    n = len(images)
    sample = flat(images[:: max(1, n // SAMPLE)])
    pca = PCA(min(COMPONENTS, *sample.shape), svd_solver="randomized", random_state=0).fit(sample)
    embeddings = np.empty((n, pca.n_components_), dtype=np.float16)
    for start in range(0, n, BLOCK):
        yield Progress("Looking at the images", start, n, "images", 0)
        embeddings[start : start + BLOCK] = pca.transform(flat(images[start : start + BLOCK]))
    return embeddings
