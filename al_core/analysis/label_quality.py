"""Second thoughts: which labels look wrong, and how far people agree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.experiment import Experiment
from al_core.store.records import what_stands


def self_confidence(probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """The model's probability of each given label; the lowest are the most suspicious.

    ``probs`` ``[L,C]``, ``labels`` ``[L]``, returns ``[L]``: Kuan & Mueller, "Model-agnostic label
    quality scoring to detect real-world label errors" (2022).
    """
    return probs[np.arange(len(labels)), labels]


def disagrees_strongly(probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the model is as sure of another class as it is, on average, of images of that class.

    ``probs`` ``[L,C]``, ``labels`` ``[L]``, returns ``[L]``: the off-diagonal of the confident
    joint, equation 1 of Northcutt et al., "Confident learning" (2021). A class without labels has
    no average and is not a candidate.
    """
    classes = probs.shape[1]
    threshold = np.full(classes, np.inf)
    for label in np.unique(labels).tolist():
        threshold[label] = probs[labels == label, label].mean()
    confident = np.where(probs >= threshold, probs, -1.0)
    strong: NDArray[np.bool_] = (confident.max(1) >= 0) & (confident.argmax(1) != labels)
    return strong


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two annotators agree on the ``images`` that both have labelled.

    ``share`` of them have the same label; ``kappa`` is Cohen's, None where it is undefined because
    both gave only one and the same label.
    """

    first: str
    second: str
    images: int
    share: float
    kappa: float | None


def agreement(experiment: Experiment) -> list[Agreement]:
    """Cohen's kappa for each pair of annotators with images in common; their last labels count.

    Cohen, "A coefficient of agreement for nominal scales" (1960). Only labels given blind count:
    leaving a visible label alone says nothing, and correcting it is not independent. Labels that
    came with the images count as an annotator's too.
    """
    labels: dict[str, dict[int, int]] = {}
    for annotator in {annotation.annotator for annotation in experiment.answers}:
        own = (a for a in experiment.answers if a.annotator == annotator)
        labels[annotator] = {
            image: standing[-1].label
            for image, standing in what_stands(own).items()
            if standing and standing[-1].label is not None and not standing[-1].guess_shown
        }
    found = []
    for first, second in combinations(sorted(labels), 2):
        if common := sorted(labels[first].keys() & labels[second].keys()):
            from sklearn.metrics import cohen_kappa_score  # takes a second to import

            a, b = (np.array([labels[who][image] for image in common]) for who in (first, second))
            only_one = len(np.union1d(a, b)) == 1
            kappa = None if only_one else float(cohen_kappa_score(a, b))
            found.append(Agreement(first, second, len(common), float((a == b).mean()), kappa))
    return found
