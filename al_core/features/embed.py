"""Frozen embeddings of pretrained weights, computed once and kept."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

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
from al_core.features.read import Features, read_features
from al_core.files.locks import held, wait_for_lock
from al_core.files.paths import home, located
from al_core.images.dataset import Dataset, identities
from al_core.images.streaming import streamed
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.prediction import Embeds, batch_size, embed_in_blocks
from al_core.progress import Progress, Work, finish

SMALL = 32  # pixels of a side at which a whole batch is embedded between two reports
WHOLE = 64  # images are embedded in multiples of it: other kernels compute small batches


def frozen_features(
    model: ModelConfig, dataset: Dataset, hardware: Hardware, size: int | None = None
) -> Work[Features]:
    """The features of the images of ``dataset`` by the encoder of a ``model``, cached; of ``size``
    pixels, the encoder's own if None. Raises WeightsError as :func:`encoder_of` does."""
    encoder = yield from encoder_of(model, dataset.learned_for, size)
    of = f"{encoder.digest}-{encoder.square.size}"  # shared by all images
    return (yield from embed(dataset, encoder, hardware, home() / "cache" / "features" / of))


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
    try:
        mapped = mapped_from(folder, dataset)
        if mapped is None:
            with held((yield from wait_for_lock(folder / "lock"))):
                yield from _fill(folder, dataset, encoder, hardware)
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
    return Features(train, test, f"{dataset.fingerprint[:24]}-{encoder.digest}")


def _fill(folder: Path, dataset: Dataset, encoder: Encoder, hardware: Hardware) -> Work[None]:
    """Embed the images that are in no file yet, a file at a time."""
    there, n = stored_in(folder).place, sum(map(len, dataset.splits))
    names = [identities(images).tolist() for images in dataset.splits]
    missing = [[i for i, name in enumerate(part) if name not in there] for part in names]
    left = sum(map(len, missing))
    if not left:
        return
    # In fp32, since it happens once: heads and strategies amplify small differences.
    network = encoder.build(hardware.exact)
    most, square = batch_size(hardware), encoder.square
    at_once = min(most, max(most * SMALL**2 // square.size**2, WHOLE))
    began, start, done = time.perf_counter(), n - left, n - left
    for images, part, rows in zip(dataset.splits, names, missing, strict=True):
        for block, pixels in streamed(images, dataset.pictures, rows, square, at_once):
            embeddings, phase = embedded(network, pixels, encoder.width, hardware)
            keys = [images.keys[i] for i in block]
            write_file(file_named(folder), keys, [part[i] for i in block], embeddings)
            done += len(block)
            # At the pace of this run: files of earlier runs took it no time.
            seconds = (time.perf_counter() - began) * done / (done - start)
            yield Progress(phase, done, n, "images", seconds)


def embedded(
    network: Embeds, images: NDArray[np.uint8], width: int, hardware: Hardware
) -> tuple[NDArray[np.float16], str]:
    """The embeddings ``[n,width]`` of ``images`` ``[n,3,S,S]``; the phase, which says if memory is
    short."""
    reports: list[Progress] = []
    whole = np.resize(np.arange(len(images)), -(-len(images) // WHOLE) * WHOLE)
    embeddings = torch.empty(len(whole), width, dtype=torch.float16)

    def keep(rows: slice, features: Tensor) -> None:
        embeddings[rows] = features.half().cpu()

    to = ("Computing features", keep)
    finish(embed_in_blocks(network, images, whole, hardware, to), reports.append)
    return embeddings[: len(images)].numpy(), reports[-1].phase
