"""Frozen embeddings of pretrained weights, computed once and kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from itertools import chain, zip_longest
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.config import ExperimentConfig, ModelConfig
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
from al_core.features.encoders.encoder import Encoder
from al_core.features.encoders.find import encoder_of
from al_core.features.lanes import in_lanes
from al_core.features.read import Features, read_features
from al_core.files.locks import held, wait_for_lock
from al_core.files.paths import home, located
from al_core.images.dataset import Dataset, identities
from al_core.images.streaming import Stream
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.prediction import Embeds, batch_size, embed_in_blocks
from al_core.progress import Progress, Work, finish

Orders = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows to train on and rows to test with, in the order in which they are embedded."""

SMALL = 32  # pixels of a side at which a whole batch is embedded between two reports
# Images are embedded in multiples of these, up to 64 pixels and above: other kernels compute small
# batches, and whoever labels meanwhile waits for one.
WHOLE, FEW = 64, 8


def frozen_features(
    model: ModelConfig, dataset: Dataset, hardware: Hardware, size: int | None = None
) -> Work[Features]:
    """The features of the images of ``dataset`` by the encoder of a ``model``, cached; of ``size``
    pixels, the encoder's own if None. Raises WeightsError as :func:`encoder_of` does."""
    encoder = yield from encoder_of(model, dataset.learned_for, size)
    return (yield from embed(dataset, encoder, hardware, features_folder(encoder)))


def features_folder(encoder: Encoder) -> Path:
    """Where the features by an encoder are cached, of all images of a size."""
    return home() / "cache" / "features" / f"{encoder.digest}-{encoder.square.size}"


def features_of(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware
) -> Work[Features | None]:
    """The frozen features an experiment trains its heads on; None where it trains a network."""
    if config.model.head != "linear":
        return None
    if config.model.embeddings:
        path = located(config.model.embeddings)
        return _read_once(path, path.stat().st_mtime_ns if path.exists() else 0, dataset)
    return (yield from frozen_features(config.model, dataset, hardware, config.image_size))


@lru_cache(1)
def _read_once(path: Path, changed: int, dataset: Dataset) -> Features:
    """Cached: a round takes a tenth of a second, and reading may take longer."""
    return read_features(path, dataset)


def embed_into(
    folder: Path, model: ModelConfig, dataset: Dataset, size: int | None = None
) -> Work[Features]:
    """The same in a ``folder`` of the user's choice. It may hold some of these features already,
    and those of images since removed, but no others; raises WeightsError where it does."""
    encoder = yield from encoder_of(model, dataset.learned_for, size)
    there = stored_in(folder).place
    ours = any(name in there for images in dataset.splits for name in identities(images).tolist())
    claim(folder, encoder.digest, encoder.square.size, ours)
    features = yield from embed(dataset, encoder, find_hardware(), folder)
    remove_files(set(files_in(folder)).difference(settled_files(folder, dataset)))
    return features


def embed(dataset: Dataset, encoder: Encoder, hardware: Hardware, folder: Path) -> Work[Features]:
    """Embed the images missing from the embedding files of ``folder``, float16, and map them all.

    Stopped anywhere, it resumes where it was; images added to a source are embedded alone. The
    folder belongs to this encoder and the size of its images. Raises WeightsError where nothing can
    be written.
    """
    return (yield from embed_all(dataset, encoder, hardware, folder, in_order(dataset)))


def in_order(dataset: Dataset) -> Orders:
    """The rows of both splits, as they stand."""
    train, test = (np.arange(len(images)) for images in dataset.splits)
    return train, test


def embed_all(
    dataset: Dataset, encoder: Encoder, hardware: Hardware, folder: Path, orders: Orders
) -> Work[Features]:
    """The same, the rows of both splits in these ``orders``: a block of one and a block of the
    other, as long as there are both. One process at a time does so in a folder."""
    with kept_in(folder):
        mapped = mapped_from(folder, dataset)
        if mapped is None:
            with held((yield from wait_for_lock(folder / "lock"))):
                yield from embed_rows(dataset, encoder, hardware, folder, orders)
                settle(folder, dataset, encoder.signature)
                mapped = mapped_from(folder, dataset)
        if mapped is None:
            raise OSError("what was written cannot be read")
    train, test = mapped
    return Features(train, test, digest_of(dataset, encoder))


def digest_of(dataset: Dataset, encoder: Encoder) -> str:
    """Tells the features of a dataset by an encoder from all others."""
    return f"{dataset.fingerprint[:24]}-{encoder.digest}"


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Raise WeightsError where the disk refuses what is kept in a folder."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"The features cannot be kept in {folder} ({error}); make room on the disk, or allow "
            "writing there."
        ) from error


def embed_rows(
    dataset: Dataset, encoder: Encoder, hardware: Hardware, folder: Path, orders: Orders
) -> Work[None]:
    """Embed the images of these rows that are in no file yet, in this order, a file at a time;
    whoever else does so at the same time is not in the way."""
    there, n = stored_in(folder).place, sum(map(len, orders))
    names = [identities(images).tolist() for images in dataset.splits]
    missing = [
        [row for row in order.tolist() if part[row] not in there]
        for part, order in zip(names, orders, strict=True)
    ]
    left = sum(map(len, missing))
    if not left:
        return
    network, square = encoder.build(encoder.on(hardware)), encoder.square
    most, least = batch_size(hardware), WHOLE if square.size <= 64 else FEW
    at_once = min(most, max(most * SMALL**2 // square.size**2 // least, 1) * least)
    blocks = [
        [(part, rows[start : start + at_once]) for start in range(0, len(rows), at_once)]
        for part, rows in enumerate(missing)
    ]
    streams = [Stream(images, dataset.pictures, square) for images in dataset.splits]
    gate = nullcontext() if hardware.device.type == "cpu" else Lock()  # a card does one at a time

    def work(block: tuple[int, list[int]]) -> tuple[NDArray[np.float16], str]:
        part, rows = block
        pixels = streams[part].pixels(rows)
        with gate:
            return embedded(network, pixels, encoder.width, hardware)

    order = filter(None, chain.from_iterable(zip_longest(*blocks)))
    decodes = any(stream.decodes for stream in streams)
    results = in_lanes(work, order) if decodes else ((block, work(block)) for block in order)
    began, start, done = time.perf_counter(), n - left, n - left
    for (part, rows), (embeddings, phase) in results:
        keys = [dataset.splits[part].keys[i] for i in rows]
        digests = [names[part][i] for i in rows]
        write_file(file_named(folder), keys, digests, embeddings, encoder.signature)
        done += len(rows)
        # At the pace of this run: files of earlier runs took it no time.
        seconds = (time.perf_counter() - began) * done / (done - start)
        yield Progress(phase, done, n, "images", seconds)


def embedded(
    network: Embeds, images: NDArray[np.uint8], width: int, hardware: Hardware
) -> tuple[NDArray[np.float16], str]:
    """The embeddings ``[n,width]`` of ``images`` ``[n,3,S,S]``; the phase, which says if memory is
    short."""
    reports: list[Progress] = []
    least = WHOLE if images.shape[-1] <= 64 else FEW
    whole = np.resize(np.arange(len(images)), -(-len(images) // least) * least)
    embeddings = torch.empty(len(whole), width, dtype=torch.float16)

    def keep(rows: slice, features: Tensor) -> None:
        embeddings[rows] = features.half().cpu()

    to = ("Computing features", keep)
    finish(embed_in_blocks(network, images, whole, hardware, to), reports.append)
    return embeddings[: len(images)].numpy(), reports[-1].phase
