"""Embeddings that no label was needed for: to start from, or to put a linear head on."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from al_core import network as networks
from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.images import Dataset
from al_core.network import Hardware
from al_core.predict import for_inference, predict
from al_core.predictions import BEFORE, PoolPredictions
from al_core.progress import Progress, Work
from al_core.weights import imagenet_weights

COMPONENTS = 64
SAMPLE = 5000  # images that the components are found on
BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Frozen embeddings: ``train`` float16 ``[N,D]``, ``test`` float16 ``[M,D]``, in the order of
    the images; ``digest`` tells one file of them from another."""

    train: NDArray[np.float16]
    test: NDArray[np.float16]
    digest: str


def read_features(path: Path, dataset: Dataset) -> Features:
    """Read embeddings from an ``.npz`` file with the arrays ``train`` and ``test``.

    Raises ConfigError, in a sentence, where they are missing or do not fit the images.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            train, test = file["train"], file["test"]
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise ConfigError(
            f"{path} cannot be read as embeddings: it must be an .npz file with the arrays "
            f"“train” and “test” ({error})."
        ) from error
    half = []
    for name, rows, images in (("train", train, dataset.train), ("test", test, dataset.test)):
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


def untrained_predictions(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware, features: Features | None = None
) -> Work[PoolPredictions]:
    """What is known of the training images before any label: nothing is likelier than anything
    else, but they have embeddings, ``features`` where those are given.

    Otherwise they come from ImageNet's network where the experiment starts from its weights, and
    else are the images' own first 64 principal components: a network with random weights tells
    classes apart less well (31 against 37% by nearest neighbours on CIFAR-10, 94 against 97% on
    digits).
    """
    if features is not None:
        embeddings = features.train
    elif config.model.weights == "imagenet":
        embeddings = yield from _imagenet_embeddings(config, dataset, hardware)
    else:
        embeddings = yield from _principal_components(dataset.train.images)
    classes = len(config.class_names)
    even = np.full((len(dataset.train), classes), 1 / classes, dtype=np.float32)
    return PoolPredictions(BEFORE, even, embeddings)


def _imagenet_embeddings(
    config: ExperimentConfig, dataset: Dataset, hardware: Hardware
) -> Work[NDArray[np.float16]]:
    images = dataset.train.images
    pretrained = yield from imagenet_weights()
    generator = torch.Generator().manual_seed(0)
    net = networks.build(1, config.model.stem, hardware, images, generator, pretrained)
    everything = np.arange(len(images), dtype=np.int64)
    fast = for_inference(net, hardware)
    whole = yield from predict(fast, images, everything, hardware, "Looking at the images")
    embeddings: NDArray[np.float16] = whole.embeddings.numpy()
    return embeddings


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
