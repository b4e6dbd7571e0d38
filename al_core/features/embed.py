"""Frozen embeddings of pretrained weights, computed once and kept."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.errors import WeightsError
from al_core.features.embedding_files import NOTE, parts_in
from al_core.features.read import PARTS, Features, read_features
from al_core.files.atomic import whole_file
from al_core.files.locks import wait_for_lock
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.models import network as networks
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.network import Pretrained
from al_core.models.prediction import batch_size, predict
from al_core.models.weights import pretrained_weights
from al_core.progress import Progress, Work, finish


def frozen_features(weights: str, dataset: Dataset, hardware: Hardware) -> Work[Features]:
    """The features that ``weights`` see in the images of ``dataset``, from the cache where they
    are. Raises WeightsError as :func:`al_core.models.weights.pretrained_weights` does."""
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
    if config.model.embeddings:
        return read_features(Path(config.model.embeddings), dataset)
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
