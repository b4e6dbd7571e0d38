"""Objectives for learning without labels: views of one image alike, different images apart.

An objective takes projections ``[V,N,D]``, V views of N images, and predictions from them of the
same shape, each row of length 1. A method without a predictor has the projections twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TEMPERATURE = 0.5
DISTORTION, INVARIANCE = 0.2, 200.0


@dataclass(frozen=True, slots=True)
class Method:
    """A method and its recipe: ``views`` of each of ``batch_size`` images a step; the widths of the
    projector, and of the predictor's hidden layer, if there is one; the peak learning rate; the
    weight decay."""

    title: str
    views: int
    batch_size: int
    hidden: int
    width: int
    learning_rate: float
    weight_decay: float
    loss: Callable[[Tensor, Tensor], Tensor]
    predictor: int = 0

    def layers(self, width: int, generator: torch.Generator) -> nn.ModuleList:
        """Projector and predictor, between embeddings and objective, discarded at the end."""
        with torch.device("meta"):  # nothing drawn from the global generator
            projector = _two_layers(width, self.hidden, self.width)
            predictor: nn.Module = nn.Identity()
            if self.predictor:
                projector.append(nn.BatchNorm1d(self.width, affine=False))
                predictor = _two_layers(self.width, self.predictor, self.width)
            both = nn.ModuleList([projector, predictor])
        both = both.to_empty(device="cpu")
        for layer in both.modules():
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            elif isinstance(layer, nn.BatchNorm1d):
                layer.reset_parameters()
        return both


def _two_layers(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, out, bias=False),
    )


def nt_xent(projections: Tensor, _predictions: Tensor) -> Tensor:
    """The mean cross-entropy, in nats, of finding each view's other view among all.

    Two views, ``[2,N,D]``: Chen et al., "A simple framework for contrastive learning of visual
    representations" (2020).
    """
    views, n, _ = projections.shape
    rows = projections.flatten(0, 1)
    alike = (rows @ rows.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    others = torch.arange(views * n, device=rows.device).roll(n)
    return F.cross_entropy(alike, others)


def coding_rate(projections: Tensor, _predictions: Tensor) -> Tensor:
    """Views near their image's mean, while a batch fills as many directions as it can.

    ``[V,N,D]``: the total coding rate of each view's batch, and the cosines between views and their
    mean: Tong et al., "EMP-SSL: Towards self-supervised learning in one training epoch" (2023),
    divided by the weight of the cosines, so that learning rates are of the usual size.
    """
    _, n, width = projections.shape
    gram = projections @ projections.mT  # of images, not dimensions: smaller, the same det
    scaled = torch.eye(n, device=gram.device) + width / (n * DISTORTION) * gram
    # Half the log-determinant; unlike slogdet, this does not wait for the GPU.
    rate = torch.linalg.cholesky_ex(scaled).L.diagonal(dim1=1, dim2=2).log().sum(1).mean()
    alike = F.cosine_similarity(projections, projections.mean(0, keepdim=True), dim=2)
    loss: Tensor = -alike.mean() - rate / INVARIANCE
    return loss


def others_mean(projections: Tensor, predictions: Tensor) -> Tensor:
    """Minus the cosine between what is predicted from a view and the mean of its image's others,
    which is taken as given: Pototzky et al., "FastSiam: Resource-efficient self-supervised learning
    on a single GPU" (2022)."""
    given = projections.detach()
    others = (given.sum(0, keepdim=True) - given) / (len(given) - 1)
    loss: Tensor = -F.cosine_similarity(predictions, others, dim=2).mean()
    return loss


def directions(projections: Tensor) -> Tensor:
    """How many directions the rows of ``[N,D]``, of length 1, point in: from 1, all alike, to the
    smaller of N and D. The participation ratio of the second moment's eigenvalues."""
    return 1 / (projections @ projections.T).square().mean()


METHODS = {
    "emp-ssl": Method("EMP-SSL", 4, 128, 1024, 512, 1.5, 1e-4, coding_rate),
    "fastsiam": Method("FastSiam", 4, 128, 2048, 2048, 0.06, 5e-4, others_mean, predictor=512),
    "simclr": Method("SimCLR", 2, 512, 1024, 128, 0.06, 5e-4, nt_xent),
}
