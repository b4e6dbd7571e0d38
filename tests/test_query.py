"""Choosing a batch: from what a model predictions, with what the labels add to it."""

import numpy as np
import pytest
import torch

from al_core.errors import ConfigError
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import PoolPredictions
from al_core.loop.query import Choice, choose
from al_core.store.records import Annotation

CPU = torch.device("cpu")
SIZE = 60


@pytest.fixture
def predictions() -> PoolPredictions:
    """Of images on a line, whose class is its side of the middle, by a model that has no idea."""
    x = np.linspace(-1, 1, SIZE, dtype=np.float32)
    embeddings = np.stack([x, np.ones_like(x)], axis=1).astype(np.float16)
    return PoolPredictions(0, np.full((SIZE, 2), 0.5, np.float32), embeddings)


def pool(*labeled: int) -> Pool:
    return Pool(SIZE, {i: Annotation(i, int(i >= SIZE // 2), 0, "ada") for i in labeled})


def chosen(strategy: str, predictions: PoolPredictions, known: Pool, n: int = 5) -> np.ndarray:
    return choose(Choice(strategy, n), predictions, known, known.unlabeled, CPU)[0]


@pytest.mark.parametrize("strategy", ["bald", "variation_ratio"])
def test_a_committee_learns_from_the_labels_and_is_asked(
    strategy: str, predictions: PoolPredictions
) -> None:
    known = pool(0, 5, 12, 20, 39, 47, 54, 59)
    picks = chosen(strategy, predictions, known)
    assert np.abs(picks - SIZE / 2).max() < 10  # where the heads part


def test_of_an_empty_pool_nothing_is_chosen(predictions: PoolPredictions) -> None:
    for strategy in ("margin", "probcover", "bald"):
        assert not len(chosen(strategy, predictions, pool(*range(SIZE))))


def test_predictions_that_are_no_numbers_choose_nothing(predictions: PoolPredictions) -> None:
    predictions.probs[7] = np.nan
    with pytest.raises(ConfigError, match="are not numbers"):
        chosen("badge", predictions, pool(0, 59))
