"""Linear heads on embeddings: one to predict with, a committee to ask, a temperature.

Softmax regression by L-BFGS on all labels at once: deterministic, on the device, and many heads in
one go, for cross-validation and committees are the same fit with other weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 5
MEMBERS = 10
ITERATIONS = 100  # of L-BFGS
SEARCHING = 30  # the same while penalties are compared: which is best shows long before the end
BLOCK = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """K linear heads with C classes on embeddings of width D, standardised first.

    ``weight`` ``[K,D,C]``, ``bias`` ``[K,1,C]``, ``mean`` and ``scale`` ``[D]``, float32.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor

    def logits(self, embeddings: Tensor) -> Tensor:
        """``[N,D]``, any floating dtype, to float32 ``[K,N,C]``."""
        blocks = [
            ((block.float() - self.mean) / self.scale) @ self.weight + self.bias
            for block in torch.split(embeddings, BLOCK)
        ]
        return torch.cat(blocks, dim=1)


def fit_heads(
    embeddings: Tensor,
    labels: Tensor,
    classes: int,
    weights: Tensor,
    penalties: Tensor,
    iterations: int = ITERATIONS,
) -> Heads:
    """K heads, each fit with sample ``weights`` of its own, ``[K,L]``, and a ``penalties`` ``[K]``.

    ``embeddings`` ``[L,D]``, ``labels`` int64 ``[L]``. Each minimises the weighted mean
    cross-entropy in nats plus half the penalty times the squared length of its weights.
    """
    x = embeddings.float()
    mean, scale = x.mean(0), x.std(0, unbiased=False).clamp_min(1e-6)
    x = (x - mean) / scale
    k, width = len(weights), x.shape[1]
    share = weights / weights.sum(1, keepdim=True)
    weight = torch.zeros(k, width, classes, device=x.device, requires_grad=True)
    bias = torch.zeros(k, 1, classes, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = (x @ weight + bias).permute(0, 2, 1)
        fit = F.cross_entropy(logits, labels.expand(k, -1), reduction="none")
        total = (fit * share).sum() + (penalties * weight.square().sum((1, 2))).sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    return Heads(weight.detach(), bias.detach(), mean, scale)


@dataclass(frozen=True, slots=True)
class Validation:
    """What cross-validation on the labelled images says: the ``penalty`` with the least loss, and
    the ``temperature`` by which its logits are best divided."""

    penalty: float
    temperature: float


def cross_validate(
    embeddings: Tensor, labels: Tensor, classes: int, generator: torch.Generator
) -> Validation:
    """Choose among ``PENALTIES`` by the loss on five parts left out in turn; no test set is read.

    ``embeddings`` ``[L,D]``, ``labels`` int64 ``[L]``, L at least 2. The temperature minimises the
    same loss: Guo et al., "On calibration of modern neural networks" (2017).
    """
    n = len(labels)
    folds = min(FOLDS, n)
    part = (torch.randperm(n, generator=generator) % folds).to(labels.device)
    kept = torch.stack([part != fold for fold in range(folds)]).float()
    penalties = torch.tensor(PENALTIES, device=labels.device)
    heads = fit_heads(
        embeddings,
        labels,
        classes,
        kept.repeat(len(PENALTIES), 1),
        penalties.repeat_interleave(folds),
        SEARCHING,
    )
    logits = heads.logits(embeddings).view(len(PENALTIES), folds, n, classes)
    left_out = logits[:, part, torch.arange(n, device=part.device)]  # [penalties, L, C]
    losses = torch.stack([F.cross_entropy(one, labels) for one in left_out])
    best = int(losses.argmin())

    def loss_at(log_temperature: float) -> float:
        return F.cross_entropy(left_out[best] / np.exp(log_temperature), labels).item()

    coolest, hottest = np.log(0.25), np.log(8)
    found = minimize_scalar(loss_at, bounds=(coolest, hottest), method="bounded")
    return Validation(PENALTIES[best], float(np.exp(found.x)))


def committee(
    embeddings: Tensor, labels: Tensor, classes: int, penalty: float, generator: torch.Generator
) -> Heads:
    """Ten heads, each on as many labels as there are, drawn with replacement: query by bagging,
    Abe & Mamitsuka, "Query learning strategies using boosting and bagging" (1998)."""
    n = len(labels)
    drawn = torch.randint(n, (MEMBERS, n), generator=generator)
    times = torch.stack([torch.bincount(one, minlength=n) for one in drawn]).float()
    penalties = torch.full((MEMBERS,), penalty)
    device = labels.device
    return fit_heads(embeddings, labels, classes, times.to(device), penalties.to(device))
