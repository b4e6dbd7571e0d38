"""Choosing a batch: a strategy applied to predictions for the pool, and the reasons why."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import BEFORE, PoolPredictions
from al_core.models.linear_heads import Heads, committee, cross_validate
from al_core.models.neighbours import nearest
from al_core.seeds import generator
from al_core.store.records import Batch, Reasons
from al_core.strategies.candidates import LIMIT, Candidates
from al_core.strategies.registry import STRATEGIES, Strategy

TOP_CLASSES = 3
NEAREST = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """What to choose: ``n`` images by ``strategy``, after ``number`` batches of the experiment with
    this ``seed``. Of a pool that does not fit into memory, strategies that need all of it get a
    uniform ``sample`` of at most so many images."""

    strategy: str
    n: int
    number: int = 0
    seed: int = 0
    sample: int = LIMIT

    @property
    def chance(self) -> torch.Generator:
        """The random numbers of this choice, from the first on."""
        return generator(self.seed, "batch", self.number)


def choose(
    choice: Choice,
    predictions: PoolPredictions,
    pool: Pool,
    unlabeled: NDArray[np.int64],
    device: torch.device,
) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Some of the positions ``unlabeled``, all where they are fewer than asked for, best first; and
    the score of each of ``unlabeled``, for strategies that have one.

    They are compared with the images that ``pool`` has labels for, on ``device``. Raises
    ConfigError where some of the ``predictions`` are not finite.
    """
    if not len(unlabeled):
        return unlabeled, None
    strategy, chance = STRATEGIES[choice.strategy], choice.chance
    # A gigabyte for a million images: not copied for strategies that ignore them.
    seen = unlabeled if strategy.sees_embeddings else unlabeled[:0]
    candidates = Candidates(
        torch.from_numpy(predictions.probs[unlabeled]).to(device),
        torch.from_numpy(predictions.embeddings[seen]).to(device),
        torch.from_numpy(predictions.embeddings[pool.labeled]).to(device),
    )
    check_numbers(candidates.probs)
    check_numbers(candidates.embeddings)
    labels = torch.from_numpy(pool.labels).to(device)
    classes = predictions.probs.shape[1]
    heads = committee_for(strategy, candidates.labeled_embeddings, labels, classes, chance)
    if heads is not None:
        votes = heads.logits(candidates.embeddings).softmax(2)
        candidates = replace(candidates, votes=votes)
    picks, score = strategy.choose(candidates, min(choice.n, len(unlabeled)), chance)
    return unlabeled[picks.cpu().numpy()], None if score is None else score.cpu().numpy()


def check_numbers(rows: torch.Tensor) -> None:
    """Raise ConfigError unless all are finite; in blocks, as a mask of all rows would be large."""
    if not all(bool(block.isfinite().all()) for block in torch.split(rows, 8192)):
        raise ConfigError(
            "Some of the model's predictions are not numbers, so it cannot choose images; choose "
            "other weights, or, where a network is trained, a lower learning rate."
        )


def committee_for(
    strategy: Strategy,
    known: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    generator: torch.Generator,
) -> Heads | None:
    """The ten heads that ``strategy`` queries, fit to the embeddings ``known`` ``[L,D]`` and their
    ``labels`` int64 ``[L]``; None where it needs none, or has fewer than two labels."""
    if "committee" not in strategy.needs or len(known) < 2:
        return None
    penalty = cross_validate(known, labels, classes, generator).penalty
    return committee(known, labels, classes, penalty, generator)


def explained(
    batch: Batch,
    predictions: PoolPredictions,
    unlabeled: NDArray[np.int64],
    labeled: NDArray[np.int64],
    score: NDArray[np.float32] | None,
) -> Batch:
    """``batch`` with the scores and reasons of its images. ``score`` belongs to ``unlabeled``, the
    images the strategy chose from; any others in the batch have none."""
    images = np.array(batch.images, dtype=np.int64)
    scores = ranks = top = None
    if score is not None:
        places = np.searchsorted(unlabeled, images).clip(max=len(unlabeled) - 1)
        chosen = unlabeled[places] == images
        scores = [float(score[i]) if own else None for i, own in zip(places, chosen, strict=True)]
        ascending, last = np.sort(score), len(score)
        ranks = [None if s is None else 1 + last - int(np.searchsorted(ascending, s, "right"))
                 for s in scores]  # fmt: skip
    if predictions.tells_classes:
        probs = torch.from_numpy(predictions.probs[images])
        best = probs.topk(min(TOP_CLASSES, probs.shape[1]), dim=1)
        top = [
            list(zip(classes, (round(p, 4) for p in shares), strict=True))
            for classes, shares in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
    embeddings = torch.from_numpy(predictions.embeddings[images])
    near = nearest(embeddings, torch.from_numpy(predictions.embeddings[labeled]), NEAREST)
    similar = labeled[near.numpy()].tolist()
    return replace(
        batch,
        scores=scores,
        model=None if predictions.model == BEFORE else predictions.model,
        model_position=predictions.log_position,
        reasons=Reasons(len(unlabeled), top, ranks, similar, predictions.by_pixels),
    )
