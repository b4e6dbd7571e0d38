"""Class weights: labels of rare classes count for more, and how much, the labels can say."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from al_core.config import POWERS, ClassWeights

LEFT_OUT = 4  # one label of a class in so many measures the networks that learn the others


def powers_to_try(setting: ClassWeights) -> list[float]:
    """The powers among which the labels choose: one, unless the setting is ``auto``."""
    return [*POWERS.values()] if setting == "auto" else [POWERS[setting]]


def class_weights(kept: Tensor, labels: Tensor, classes: int, power: float) -> Tensor:
    """The weights of K samples of the labels, each label's times the number of labels of its class
    in that sample to the power of minus ``power``.

    ``kept`` float32 ``[K,L]``, ``labels`` int64 ``[L]``; float32 ``[K,L]``, each row with the sum
    of ``kept``'s. The inverse number, power 1, is King & Zeng, "Logistic regression in rare events
    data" (2001); its root, Mahajan et al., "Exploring the limits of weakly supervised pretraining"
    (2018).
    """
    counts = kept @ F.one_hot(labels, classes).float()
    weights = kept * counts.clamp_min(1)[:, labels] ** -power
    return weights * (kept.sum(1, keepdim=True) / weights.sum(1, keepdim=True))


def balanced_loss(logits: Tensor, labels: Tensor) -> float:
    """The mean over the classes among ``labels`` int64 ``[n]`` of the mean cross-entropy in nats of
    their images, ``logits`` ``[n,C]``."""
    losses = F.cross_entropy(logits, labels, reduction="none")
    shares = labels.bincount()[labels].float().reciprocal()
    return float((losses * shares).sum() / shares.sum())


def left_out(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Which labels to leave out of a training, bool ``[L]``: at random a quarter of each class's,
    but at least one of two. ``labels`` int64 ``[L]``."""
    out = torch.zeros(len(labels), dtype=torch.bool)
    order = torch.randperm(len(labels), generator=generator)
    for label in set(labels.tolist()):
        of_class = order[labels[order] == label]
        out[of_class[: max(len(of_class) // LEFT_OUT, int(len(of_class) > 1))]] = True
    return out
