"""What is known about the images before any label."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import BEFORE, PoolPredictions
from al_core.features.embed import frozen_features
from al_core.images.dataset import Dataset
from al_core.loop.features import features_for, words_of
from al_core.models.hardware import Hardware
from al_core.models.learned_weights import waits_for_features
from al_core.progress import Progress, Work

COMPONENTS = 64
BLOCK = 512  # images reduced at a time
SOON = 1.5  # seconds that whoever waits for the first batch waits for embeddings
SAMPLE = 5000  # images that the components are fit to, or up to twice as many


def untrained_predictions(
    experiment: Experiment, dataset: Dataset, hardware: Hardware
) -> Work[PoolPredictions]:
    """What is known about the training images before any label: images have embeddings, and all
    classes are equally likely, but where the encoder knows words.

    Those are the experiment's own, or come from the weights it starts from. Without any, or before
    they are learned, they are the first 64 principal components of the pixels: a network with
    random weights separates classes less well (31 against 37% by nearest neighbours on CIFAR-10,
    94 against 97% on digits). An encoder that takes long embeds for SOON seconds.
    """
    features, config = None, experiment.config
    if waits_for_features(config, dataset.learned_for):
        pass
    elif config.model.head == "linear":
        experiment, features = yield from features_for(experiment, dataset, hardware, SOON)
    elif config.model.weights != "none":
        features = yield from frozen_features(config.model, dataset, hardware, config.image_size)
    if features is not None:
        embeddings = features.train
    else:
        embeddings = yield from _principal_components(dataset.train.images)
    classes = len(config.class_names)
    probs = np.full((len(dataset.train), classes), 1 / classes, dtype=np.float32)
    words = None if features is None else (yield from words_of(experiment, dataset))
    if words is not None:
        yield Progress("Reading the names of the classes", 0, 0, "", 0)
        probs = words.logits(torch.from_numpy(embeddings)).softmax(1).numpy()
    return PoolPredictions(
        BEFORE,
        probs,
        embeddings,
        by_pixels=features is None,
        by_words=words is not None,
        embedded=None if features is None else experiment.embedded,
    )


def _principal_components(images: NDArray[np.uint8]) -> Work[NDArray[np.float16]]:
    """``[N,C,H,W]`` to ``[N,64]``, or fewer components where there are no more."""
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
