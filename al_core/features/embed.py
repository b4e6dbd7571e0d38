"""Frozen embeddings of pretrained weights, computed once and kept."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.errors import WeightsError
from al_core.features.embedding_files import (
    claim,
    file_named,
    files_in,
    remove_files,
    settle,
    settled_files,
    stored_in,
    write_file,
)
from al_core.features.read import Features, read_features
from al_core.files.locks import wait_for_lock
from al_core.files.paths import home
from al_core.images.dataset import Dataset, digests_of
from al_core.models import network as networks
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.network import Pretrained
from al_core.models.prediction import batch_size, predict
from al_core.models.weights import pretrained_weights
from al_core.progress import Progress, Work, finish

WHOLE = 64  # images are embedded in multiples: few at a time are computed by other kernels


def frozen_features(weights: str, dataset: Dataset, hardware: Hardware) -> Work[Features]:
    """The features that ``weights`` see in the images of ``dataset``, from the cache where they
    are. Raises WeightsError as :func:`al_core.models.weights.pretrained_weights` does."""
    pretrained = yield from needed(weights, dataset.fingerprint)
    folder = home() / "cache" / "features" / pretrained.digest  # of any images
    return (yield from embed(dataset, pretrained, hardware, folder))


def features_of(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware
) -> Work[Features | None]:
    """The frozen features that an experiment's heads are trained on; None where it trains a
    network."""
    if config.model.head != "linear":
        return None
    if config.model.embeddings:
        path = Path(config.model.embeddings)
        return _read_once(path, path.stat().st_mtime_ns if path.exists() else 0, dataset)
    return (yield from frozen_features(config.model.weights, dataset, hardware))


@lru_cache(1)
def _read_once(path: Path, changed: int, dataset: Dataset) -> Features:
    """A round takes a tenth of a second, and reading them may take longer."""
    return read_features(path, dataset)


def embed_into(folder: Path, weights: str, dataset: Dataset) -> Work[Features]:
    """The same in a ``folder`` of one's own, which must hold no other features than these, in part
    perhaps, or of images that were among these. Raises WeightsError where it does."""
    pretrained = yield from needed(weights, dataset.fingerprint)
    there = stored_in(folder).place
    ours = any(name in there for images in dataset.parts for name in digests_of(images).tolist())
    claim(folder, pretrained.digest, dataset.train.images.shape[-1], ours)
    features = yield from embed(dataset, pretrained, find_hardware(), folder)
    remove_files(set(files_in(folder)).difference(settled_files(folder, dataset)))
    return features


def needed(weights: str, fingerprint: str) -> Work[Pretrained]:
    """The weights of that name; raises WeightsError also for ``none``."""
    pretrained = yield from pretrained_weights(weights, fingerprint)
    if pretrained is None:
        raise WeightsError("Without weights there are no features; choose some.")
    return pretrained


def embed(
    dataset: Dataset, pretrained: Pretrained, hardware: Hardware, folder: Path
) -> Work[Features]:
    """Embed every image that the embedding files of ``folder`` lack, float16, and map them all.

    Stopped anywhere, it goes on where it was; images that come to a source are embedded alone. The
    folder belongs to these weights. Raises WeightsError where nothing can be written.
    """
    try:
        found = _mapped(folder, dataset)
        if found is None:
            folder.mkdir(parents=True, exist_ok=True)
            lock = yield from wait_for_lock(folder / "lock")
            try:
                yield from _fill(folder, dataset, pretrained, hardware)
                settle(folder, dataset)
                found = _mapped(folder, dataset)
            finally:
                lock.release()
        if found is None:
            raise OSError("what was written cannot be read")
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"The features cannot be kept in {folder} ({error}); make room on the disk, or allow "
            "writing there."
        ) from error
    train, test = found
    return Features(train, test, f"{dataset.fingerprint[:24]}-{pretrained.digest}")


def _mapped(folder: Path, dataset: Dataset) -> list[NDArray[np.float16]] | None:
    """The embeddings of all images, memory-mapped; None where they are not there in their order."""
    found = []
    with suppress(OSError, ValueError):
        for path, images in settled_files(folder, dataset).items():
            # Copy on write: torch warns of arrays that cannot be written to, and nothing writes.
            rows = np.load(path.with_suffix(".npy"), mmap_mode="c")
            if path.exists() and rows.dtype == np.float16 and len(rows) == len(images):
                found.append(rows)
    return found if len(found) == 2 else None


def frozen(pretrained: Pretrained, hardware: Hardware) -> InferenceNetwork:
    """The network behind the weights, its head of no use, as it was trained."""
    generator = torch.Generator().manual_seed(0)
    nothing = np.empty((0, 3, 1, 1), dtype=np.uint8)
    net = networks.build(1, pretrained.stem, hardware, nothing, generator, pretrained)
    return InferenceNetwork(net, hardware)


def _fill(folder: Path, dataset: Dataset, pretrained: Pretrained, hardware: Hardware) -> Work[None]:
    """Embed the images that no file has yet, a file at a time."""
    there, n = stored_in(folder).place, sum(map(len, dataset.parts))
    names = [digests_of(images).tolist() for images in dataset.parts]
    missing = [[i for i, name in enumerate(part) if name not in there] for part in names]
    left = sum(map(len, missing))
    if not left:
        return
    # Once, so exactly: heads and strategies let small differences grow.
    network = frozen(pretrained, hardware.exact)
    began, start, done = time.perf_counter(), n - left, n - left
    for images, rows in zip(dataset.parts, missing, strict=True):
        while rows:
            block, rows = np.array(rows[: batch_size(hardware)]), rows[batch_size(hardware) :]
            embeddings, phase = embedded(network, images.images, block, hardware)
            keys, digests = [images.keys[i] for i in block], digests_of(images)[block].tolist()
            write_file(file_named(folder), keys, digests, embeddings)
            done += len(block)
            # At the pace of this run: what was done by an earlier one took no time now.
            seconds = (time.perf_counter() - began) * done / (done - start)
            yield Progress(phase, done, n, "images", seconds)


def embedded(
    network: InferenceNetwork,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    hardware: Hardware,
) -> tuple[NDArray[np.float16], str]:
    """The embeddings ``[n,D]`` of ``images[rows]``, and the phase, which says where memory is
    short."""
    reports: list[Progress] = []
    whole = np.resize(rows, -(-len(rows) // WHOLE) * WHOLE)
    work = predict(network, images, whole, hardware, "Computing features")
    embeddings = finish(work, reports.append).embeddings.numpy()
    return embeddings[: len(rows)], reports[-1].phase
