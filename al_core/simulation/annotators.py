"""Simulated annotators, who label in place of a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.files.arrays import open_arrays
from al_core.images.dataset import Dataset

MOST = 1 << 30  # bytes of labels
Annotator = Callable[[NDArray[np.int64]], NDArray[np.int64]]  # positions [n] to labels [n]


def find_annotator(name: str, dataset: Dataset) -> Annotator:
    """``truth``, or ``FILE.npz:COLUMN`` for labels by real people. Raises ConfigError where these
    images have no such annotator."""
    if name == "truth":
        return truth(dataset)
    file, colon, column = name.rpartition(":")
    if not colon:
        raise ConfigError(f"There is no annotator “{name}”; choose truth, or FILE.npz:COLUMN.")
    return table(Path(file), column, dataset)


def truth(dataset: Dataset) -> Annotator:
    """The annotator who is always right; raises ConfigError where the truth is not known."""
    if not dataset.has_truth:
        raise ConfigError(
            f"No truth is known for the images of “{dataset.source}”, so it cannot be simulated."
        )
    return lambda positions: dataset.train.targets[positions]


def table(path: Path, column: str, dataset: Dataset) -> Annotator:
    """The annotator behind the labels in an array of an ``.npz`` file, one for each training image;
    raises ConfigError where they do not fit."""
    try:
        with open_arrays(path, [column], MOST) as file:
            if column not in file:
                raise ConfigError(f"{path} has no “{column}”; it has {', '.join(file.files)}.")
            labels = file[column]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as an .npz file of labels ({error}).") from error
    classes = len(dataset.train.class_names)
    if labels.shape != (len(dataset.train),) or labels.dtype.kind not in "iu":
        raise ConfigError(
            f"“{column}” in {path} is {labels.dtype}, {labels.shape}; there must be "
            f"{len(dataset.train):,} whole numbers, one for each training image."
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ConfigError(
            f"“{column}” in {path} has labels from {labels.min()} to {labels.max()}; there are "
            f"{classes} classes, from 0."
        )
    given: NDArray[np.int64] = labels.astype(np.int64)
    return lambda positions: given[positions]
