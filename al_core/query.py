"""Choosing a batch: a strategy applied to what a network said of the pool, and the reasons why."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.predictions import PoolPredictions
from al_core.schema import Batch, Reasons
from al_core.strategies import SCORES, STRATEGIES, Candidates

TOP_CLASSES = 3
NEAREST = 5


def choose(
    config: ExperimentConfig,
    number: int,
    said: PoolPredictions,
    unlabeled: NDArray[np.int64],
    labeled: NDArray[np.int64],
    generator: torch.Generator,
) -> Batch | None:
    """The batch of round ``number``: as many images as asked for, or as are left; None for none.

    ``unlabeled`` and ``labeled`` are the positions to choose among and to compare with, int64.
    """
    n = min(config.per_round, len(unlabeled))
    if n == 0:
        return None
    candidates = Candidates(
        torch.from_numpy(said.probs[unlabeled]),
        torch.from_numpy(said.embeddings[unlabeled]),
        torch.from_numpy(said.embeddings[labeled]),
    )
    picks = STRATEGIES[config.strategy](candidates, n, generator)
    scores = ranks = None
    if config.strategy in SCORES:
        score = SCORES[config.strategy](candidates.probs)
        scores = score[picks].tolist()
        ranks = [int((score > mine).sum()) + 1 for mine in score[picks]]
    top = candidates.probs[picks].topk(min(TOP_CLASSES, candidates.probs.shape[1]), dim=1)
    near = nearest(candidates.embeddings[picks], candidates.labeled_embeddings, NEAREST)
    return Batch(
        number,
        config.strategy,
        unlabeled[picks.numpy()].tolist(),
        scores,
        model=said.model,
        reasons=Reasons(
            pool=len(unlabeled),
            top=[
                list(zip(classes, (round(p, 4) for p in probs), strict=True))
                for classes, probs in zip(top.indices.tolist(), top.values.tolist(), strict=True)
            ],
            rank=ranks,
            nearest=labeled[near.numpy()].tolist(),
        ),
    )


def nearest(queries: torch.Tensor, known: torch.Tensor, k: int) -> torch.Tensor:
    """The ``k`` rows of ``known`` ``[L,D]`` most alike to each of ``queries`` ``[n,D]``, by cosine.

    Positions, best first, int64 ``[n, min(k, L)]``. The rows are taken in blocks, so that a large
    labelled set needs no second copy of itself.
    """
    directions = torch.nn.functional.normalize(queries.float(), dim=1)
    alike = torch.cat(
        [directions @ torch.nn.functional.normalize(block.float(), dim=1).T
         for block in torch.split(known, 8192)],
        dim=1,
    )  # fmt: skip
    return alike.topk(min(k, len(known)), dim=1).indices
