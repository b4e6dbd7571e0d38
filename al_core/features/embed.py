"""Frozen embeddings of pretrained weights, computed once and kept."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.errors import WeightsError
from al_core.features.embedding_files import (
    claim,
    file_named,
    files_in,
    mapped_from,
    remove_files,
    settle,
    settled_files,
    stored_in,
    write_file,
)
from al_core.features.read import Features, read_features
from al_core.files.locks import held, wait_for_lock
from al_core.files.paths import home, located
from al_core.images.dataset import Dataset, identities
from al_core.images.streaming import streamed
from al_core.models import network as networks
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.network import Pretrained
from al_core.models.prediction import batch_size, predict
from al_core.models.weights import pretrained_weights
from al_core.progress import Progress, Work, finish
from al_core.seeds import generator

SMALL = 32  # pixels of a side at which a whole batch is embedded between two reports
WHOLE = 64  # images are embedded in multiples of it: other kernels compute small batches


def frozen_features(
    weights: str, dataset: Dataset, hardware: Hardware, size: int | None = None
) -> Work[Features]:
    """The features of the images of ``dataset`` by ``weights``, cached; at ``size`` pixels, their
    own if None. Raises WeightsError as :func:`al_core.models.weights.pretrained_weights` does."""
    pretrained = yield from needed(weights, dataset.learned_for)
    of = f"{pretrained.digest}-{size or dataset.size}"  # shared by all images
    return (
        yield from embed(dataset, pretrained, hardware, home() / "cache" / "features" / of, size)
    )


def features_of(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware
) -> Work[Features | None]:
    """The frozen features an experiment trains its heads on; None where it trains a network."""
    if config.model.head != "linear":
        return None
    if config.model.embeddings:
        path = located(config.model.embeddings)
        return _read_once(path, path.stat().st_mtime_ns if path.exists() else 0, dataset)
    return (yield from frozen_features(config.model.weights, dataset, hardware, config.image_size))


@lru_cache(1)
def _read_once(path: Path, changed: int, dataset: Dataset) -> Features:
    """Cached: a round takes a tenth of a second, and reading may take longer."""
    return read_features(path, dataset)


def embed_into(
    folder: Path, weights: str, dataset: Dataset, size: int | None = None
) -> Work[Features]:
    """The same in a ``folder`` of the user's choice. It may hold some of these features already,
    and those of images since removed, but no others; raises WeightsError where it does."""
    pretrained = yield from needed(weights, dataset.learned_for)
    there = stored_in(folder).place
    ours = any(name in there for images in dataset.splits for name in identities(images).tolist())
    claim(folder, pretrained.digest, size or dataset.size, ours)
    features = yield from embed(dataset, pretrained, find_hardware(), folder, size)
    remove_files(set(files_in(folder)).difference(settled_files(folder, dataset)))
    return features


def needed(weights: str, fingerprint: str) -> Work[Pretrained]:
    """The weights of this name; raises WeightsError for ``none`` too."""
    pretrained = yield from pretrained_weights(weights, fingerprint)
    if pretrained is None:
        raise WeightsError("Without weights there are no features; choose some.")
    return pretrained


def embed(
    dataset: Dataset,
    pretrained: Pretrained,
    hardware: Hardware,
    folder: Path,
    size: int | None = None,
) -> Work[Features]:
    """Embed the images missing from the embedding files of ``folder``, at ``size`` pixels (their
    own if None), float16, and map them all.

    Stopped anywhere, it resumes where it was; images added to a source are embedded alone. The
    folder belongs to these weights and this size. Raises WeightsError where nothing can be written.
    """
    try:
        mapped = mapped_from(folder, dataset)
        if mapped is None:
            with held((yield from wait_for_lock(folder / "lock"))):
                yield from _fill(folder, dataset, pretrained, hardware, size or dataset.size)
                settle(folder, dataset)
                mapped = mapped_from(folder, dataset)
        if mapped is None:
            raise OSError("what was written cannot be read")
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"The features cannot be kept in {folder} ({error}); make room on the disk, or allow "
            "writing there."
        ) from error
    train, test = mapped
    return Features(train, test, f"{dataset.fingerprint[:24]}-{pretrained.digest}")


def frozen(pretrained: Pretrained, hardware: Hardware) -> InferenceNetwork:
    """The network of these weights, as it was trained; its head is unused."""
    nothing = np.empty((0, 3, 1, 1), dtype=np.uint8)
    chance = generator(0, "unused head")
    net = networks.build(1, pretrained.stem, hardware, nothing, chance, pretrained)
    return InferenceNetwork(net, hardware)


def _fill(
    folder: Path, dataset: Dataset, pretrained: Pretrained, hardware: Hardware, size: int
) -> Work[None]:
    """Embed the images that are in no file yet, a file at a time."""
    there, n = stored_in(folder).place, sum(map(len, dataset.splits))
    names = [identities(images).tolist() for images in dataset.splits]
    missing = [[i for i, name in enumerate(part) if name not in there] for part in names]
    left = sum(map(len, missing))
    if not left:
        return
    # In fp32, since it happens once: heads and strategies amplify small differences.
    network = frozen(pretrained, hardware.exact)
    most = batch_size(hardware)
    at_once = min(most, max(most * SMALL**2 // size**2, WHOLE))
    began, start, done = time.perf_counter(), n - left, n - left
    for images, part, rows in zip(dataset.splits, names, missing, strict=True):
        for block, pixels in streamed(images, dataset.pictures, rows, size, at_once):
            embeddings, phase = embedded(network, pixels, hardware)
            keys = [images.keys[i] for i in block]
            write_file(file_named(folder), keys, [part[i] for i in block], embeddings)
            done += len(block)
            # At the pace of this run: files of earlier runs took it no time.
            seconds = (time.perf_counter() - began) * done / (done - start)
            yield Progress(phase, done, n, "images", seconds)


def embedded(
    network: InferenceNetwork, images: NDArray[np.uint8], hardware: Hardware
) -> tuple[NDArray[np.float16], str]:
    """The embeddings ``[n,D]`` of ``images`` ``[n,3,S,S]``; the phase, which says if memory is
    short."""
    reports: list[Progress] = []
    whole = np.resize(np.arange(len(images)), -(-len(images) // WHOLE) * WHOLE)
    work = predict(network, images, whole, hardware, "Computing features")
    embeddings = finish(work, reports.append).embeddings.numpy()
    return embeddings[: len(images)], reports[-1].phase
