"""Linear heads on embeddings: one to predict with, a committee to query, a temperature.

Softmax regression by L-BFGS on all labels at once. It is deterministic, and fits many heads in one
go: cross-validation and committees are the same fit with different sample weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from al_core.config import ClassWeights
from al_core.models.class_weights import balanced_loss, class_weights, powers_to_try

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 5
MEMBERS = 10
ITERATIONS = 100  # of L-BFGS
SEARCHING = 30  # the same while comparing penalties: the best one shows long before the end
BLOCK = 8192
COOLEST, HOTTEST = 0.25, 8.0  # temperatures
ROWS, COLUMNS = 64, 16  # of a matrix product: padded to multiples of these, to fill whole tiles


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """K linear heads with C classes on embeddings of width D, which are standardised first.

    ``weight`` ``[K,D,C]``, ``bias`` ``[K,1,C]``, ``mean`` and ``scale`` ``[D]``, float32.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor

    def calibrated(self, temperature: float) -> Heads:
        """The same heads with their logits divided by ``temperature``."""
        return replace(self, weight=self.weight / temperature, bias=self.bias / temperature)

    def logits(self, embeddings: Tensor) -> Tensor:
        """``[N,D]``, any floating dtype, to float32 ``[K,N,C]``; the logits of a row are the same
        to the last bit, whatever the other rows."""
        k, width, classes = self.weight.shape
        # One matrix product for all heads, standardising within it.
        weight = self.weight.permute(1, 0, 2).reshape(width, -1) / self.scale[:, None]
        bias = self.bias.flatten() - self.mean @ weight
        # Padded: other kernels would compute what does not fill a tile.
        columns = -len(bias) % COLUMNS
        weight, bias = F.pad(weight, (0, columns)), F.pad(bias, (0, columns))
        # Filled block by block: results between the blocks would break a heap into pieces, and a
        # million rows took a gigabyte.
        logits = embeddings.new_empty((len(embeddings), k * classes), dtype=torch.float32)
        for rows, into in zip(
            torch.split(embeddings, BLOCK), torch.split(logits, BLOCK), strict=True
        ):
            whole = rows.float()
            if short := -len(rows) % ROWS:
                whole = F.pad(whole, (0, 0, 0, short))
            into.copy_(torch.addmm(bias, whole, weight)[: len(rows), : k * classes])
        return logits.view(-1, k, classes).permute(1, 0, 2)


def fit_heads(
    embeddings: Tensor,
    labels: Tensor,
    classes: int,
    weights: Tensor,
    penalties: Tensor,
    iterations: int = ITERATIONS,
) -> Heads:
    """K heads, each fit with its own sample ``weights`` ``[K,L]`` and penalty in ``penalties``
    ``[K]``.

    ``embeddings`` ``[L,D]``, ``labels`` int64 ``[L]``. Each minimises the weighted mean
    cross-entropy in nats plus half its penalty times the squared norm of its weights.
    """
    x = embeddings.float()
    mean, scale = x.mean(0), x.std(0, unbiased=False).clamp_min(1e-6)
    x = (x - mean) / scale
    k, width = len(weights), x.shape[1]
    share = weights / weights.sum(1, keepdim=True)
    # Side by side, so that one matrix product serves all heads.
    weight = torch.zeros(width, k * classes, device=x.device, requires_grad=True)
    bias = torch.zeros(k * classes, device=x.device, requires_grad=True)
    rows = torch.arange(len(x), device=x.device)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = torch.addmm(bias, x, weight).view(-1, k, classes)
        fit = -logits.log_softmax(2)[rows, :, labels]  # [L,K]
        squares = weight.view(width, k, classes).square().sum((0, 2))
        total = (fit.T * share).sum() + (penalties * squares).sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    apart = weight.detach().view(width, k, classes).permute(1, 0, 2)
    return Heads(apart, bias.detach().view(k, 1, classes), mean, scale)


@dataclass(frozen=True, slots=True)
class Validation:
    """The result of cross-validation on the labelled images: the ``penalty``, and the ``power`` of
    class weights, with the least loss, and the best ``temperature`` to divide its logits by;
    ``left_out`` are these, float32 ``[L,C]``, of each image by a head that has not seen it."""

    penalty: float
    temperature: float
    power: float
    left_out: Tensor = field(compare=False)


def cross_validate(
    embeddings: Tensor,
    labels: Tensor,
    classes: int,
    generator: torch.Generator,
    weighting: ClassWeights = "off",
) -> Validation:
    """Choose among ``PENALTIES``, and the powers of ``weighting``, by the loss in five-fold
    cross-validation; reads no test set.

    ``embeddings`` ``[L,D]``, ``labels`` int64 ``[L]``, L at least 2. Where classes are weighted, it
    is the balanced loss on the classes with two labels or more, which are then spread over the
    folds. The temperature comes from the left-out folds; it means nothing for embeddings that were
    trained on these same labels.
    """
    n = len(labels)
    folds = min(FOLDS, n)
    fold_of = torch.randperm(n, generator=generator) % folds
    twice = labels.bincount()[labels] > 1
    balanced = weighting != "off" and bool(twice.any())
    if balanced:
        by_class = torch.argsort(labels.cpu() * n + torch.randperm(n, generator=generator))
        fold_of[by_class] = torch.arange(n) % folds
    fold_of = fold_of.to(labels.device)
    kept = torch.stack([fold_of != fold for fold in range(folds)]).float()
    powers = powers_to_try(weighting)
    weights = [
        class_weights(kept, labels, classes, power).repeat(len(PENALTIES), 1) for power in powers
    ]
    penalties = torch.tensor(PENALTIES, device=labels.device).repeat_interleave(folds)
    heads = fit_heads(
        embeddings, labels, classes, torch.cat(weights), penalties.repeat(len(powers)), SEARCHING
    )
    logits = heads.logits(embeddings).view(-1, folds, n, classes)
    left_out = logits[:, fold_of, torch.arange(n, device=fold_of.device)]  # [settings, L, C]

    def loss(logits: Tensor) -> float:
        if balanced:
            return balanced_loss(logits[twice], labels[twice])
        return F.cross_entropy(logits, labels).item()

    best = int(np.argmin([loss(one) for one in left_out]))
    coolest = temperature(left_out[best].softmax(1), labels)
    return Validation(
        PENALTIES[best % len(PENALTIES)],
        coolest,
        powers[best // len(PENALTIES)],
        left_out[best] / coolest,
    )


def fit_head(
    embeddings: Tensor,
    labels: Tensor,
    classes: int,
    generator: torch.Generator,
    weighting: ClassWeights = "off",
) -> tuple[Heads, Validation]:
    """One head on all labels, with the penalty, and the power of class weights, chosen by
    cross-validation on them and calibrated by its temperature, and the result of that.
    ``embeddings`` ``[L,D]``, ``labels`` int64 ``[L]``, L at least 2."""
    validation = cross_validate(embeddings, labels, classes, generator, weighting)
    all_of_them = torch.ones(1, len(labels), device=labels.device)
    weights = class_weights(all_of_them, labels, classes, validation.power)
    penalties = torch.tensor([validation.penalty], device=labels.device)
    head = fit_heads(embeddings, labels, classes, weights, penalties)
    return head.calibrated(validation.temperature), validation


def temperature(probs: Tensor, labels: Tensor) -> float:
    """The best temperature to divide the logits behind ``probs`` ``[n,C]`` by, for a model that
    has never seen these images or their ``labels``, int64 ``[n]``: Guo et al., "On calibration of
    modern neural networks" (2017).

    Few labels say little, so a prior expects a factor of two either way. 1 without labels.
    """
    if not len(labels):
        return 1.0

    logits = probs.clamp_min(1e-12).log()

    def loss_at(log_temperature: float) -> float:
        loss = F.cross_entropy(logits / np.exp(log_temperature), labels, reduction="sum").item()
        return loss + float((log_temperature / np.log(2)) ** 2) / 2

    best = minimize_scalar(loss_at, bounds=np.log((COOLEST, HOTTEST)), method="bounded")
    return float(np.exp(best.x))


def mixture(head: Tensor, words: Tensor, labels: Tensor) -> tuple[float, float]:
    """The weights with which logits of a ``head`` and of ``words``, float ``[n,C]``, add up to
    those that tell the ``labels`` int64 ``[n]`` best, of images that neither has seen: Heskes,
    "Selecting weighting factors in logarithmic opinion pools" (1998).

    Few labels say little, so a prior expects both to count in full.
    """

    def loss_and_slope(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        each = torch.tensor(weights, dtype=torch.float32, device=head.device, requires_grad=True)
        with torch.enable_grad():
            loss = F.cross_entropy(each[0] * head + each[1] * words, labels, reduction="sum")
            loss = loss + (each - 1).square().sum() / 2
            (slope,) = torch.autograd.grad(loss, each)
        return loss.item(), slope.double().cpu().numpy()

    found = minimize(
        loss_and_slope, np.ones(2), jac=True, bounds=[(0, None)] * 2, method="L-BFGS-B"
    )
    return float(found.x[0]), float(found.x[1])


def committee(
    embeddings: Tensor, labels: Tensor, classes: int, penalty: float, generator: torch.Generator
) -> Heads:
    """Ten heads, each fit to a bootstrap sample of the labels: query by bagging, Abe & Mamitsuka,
    "Query learning strategies using boosting and bagging" (1998).

    On embeddings that a network learned from these same labels, the heads agree on most images,
    and mostly chance separates the rest.
    """
    n = len(labels)
    drawn = torch.randint(n, (MEMBERS, n), generator=generator)
    times = torch.stack([torch.bincount(one, minlength=n) for one in drawn]).float()
    penalties = torch.full((MEMBERS,), penalty)
    device = labels.device
    return fit_heads(embeddings, labels, classes, times.to(device), penalties.to(device))
