"""The labels that a round trains on, dealt into folds to judge by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.images.near_copies import groups_in_pool
from al_core.seeds import numpy_generator

FOLDS = 5
FEWEST = 10  # different images; fewer say nothing about an encoder


@dataclass(frozen=True, slots=True, eq=False)
class LabelsSoFar:
    """Labels to train on: the positions of their ``images``, ascending, the ``labels``, and in
    which ``groups`` of copies and near-copies they are, each int64 ``[L]``."""

    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def too_few(self) -> str:
        """Why nothing can be judged by them, in a sentence; empty where it can."""
        different, classes = (len(np.unique(each)) for each in (self.groups, self.labels))
        if different >= FEWEST and classes > 1:
            return ""
        return (
            f"Encoders are compared by labels, {FEWEST} different images of two classes at least; "
            f"so far there are {different}, of {classes}."
        )

    def folds(self, seed: int) -> NDArray[np.int64]:
        """The fold of each label, int64 ``[L]``, at random: every class is spread over all FOLDS,
        and copies lie in one, so that no image is recognised by a copy of it."""
        _, first, group = np.unique(self.groups, return_index=True, return_inverse=True)
        order = numpy_generator(seed, "folds of labels").permutation(len(first))
        by_class = order[np.argsort(self.labels[first][order], kind="stable")]
        fold = np.empty(len(first), np.int64)
        fold[by_class] = np.arange(len(first)) % FOLDS
        return fold[group]


def labels_so_far(experiment: Experiment, dataset: Dataset) -> LabelsSoFar:
    """Those of an experiment: of no image that measures it, or that is not there any more."""
    known, of = experiment.trained_on.without(dataset.blank), groups_in_pool(dataset)
    images = known.labeled
    groups = np.array([of.get(image, -1 - image) for image in images.tolist()], np.int64)
    return LabelsSoFar(images, known.labels, groups)
