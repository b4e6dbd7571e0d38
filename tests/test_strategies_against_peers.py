"""Strategies beside those of scikit-activeml and modAL, on random inputs."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from al_core.strategies import STRATEGIES, Candidates
from al_core.strategies.coverage import REFERENCES

pool = pytest.importorskip("skactiveml.pool", reason="pip install scikit-activeml")
modal = pytest.importorskip("modAL.uncertainty", reason="pip install modAL-python")

N, L, D, C = 120, 15, 8, 4
SEEDS = st.integers(0, 2**16)


def candidates(seed: int, spread: float = 1.0) -> Candidates:
    generator = torch.Generator().manual_seed(seed)
    points = spread * torch.randn(N + L, D, generator=generator)
    probs = torch.randn(N, C, generator=generator).softmax(1)
    votes = (2 * torch.randn(6, N, C, generator=generator)).softmax(2)
    return Candidates(probs, points[:N], points[N:], votes)


def chosen(name: str, seen: Candidates, n: int) -> list[int]:
    return STRATEGIES[name](seen, n, torch.Generator().manual_seed(0)).tolist()


def queried(strategy: object, seen: Candidates, n: int, **more: object) -> list[int]:
    """What a strategy of scikit-activeml asks about; its pool holds the labelled ones behind."""
    points = torch.cat([seen.embeddings, seen.labeled_embeddings]).double().numpy()
    labels = np.append(np.full(N, np.nan), np.arange(L) % C)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return strategy.query(points, labels, batch_size=n, **more).tolist()


class Given:
    """A classifier that says what it was given, as modAL wants it."""

    def __init__(self, probs: torch.Tensor) -> None:
        self.probs = probs.double().numpy()

    def predict_proba(self, _: object) -> np.ndarray:
        return self.probs


@given(seed=SEEDS, n=st.integers(1, N))
def test_rankings_choose_what_modal_chooses(seed: int, n: int) -> None:
    seen = candidates(seed)
    for name, score in (
        ("least_confidence", modal.classifier_uncertainty),
        ("margin", lambda *args: -modal.classifier_margin(*args)),
        ("entropy", modal.classifier_entropy),
    ):
        theirs = np.argsort(-score(Given(seen.probs), seen.embeddings), kind="stable")[:n]
        assert set(chosen(name, seen, n)) == set(theirs.tolist()), name


@given(seed=SEEDS, n=st.integers(1, N))
def test_committees_choose_what_scikit_activeml_scores_highest(seed: int, n: int) -> None:
    from skactiveml.pool import batch_bald
    from skactiveml.pool._query_by_committee import average_kl_divergence

    assert batch_bald is not None
    seen = candidates(seed)
    scores = average_kl_divergence(seen.votes.double().numpy().transpose(0, 1, 2))
    assert set(chosen("bald", seen, n)) == set(np.argsort(-scores, kind="stable")[:n].tolist())


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 40))
def test_k_center_chooses_what_scikit_activeml_chooses(seed: int, n: int) -> None:
    seen = candidates(seed)
    assert chosen("k_center", seen, n) == queried(pool.CoreSet(random_state=0), seen, n)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n=st.integers(1, 12))
def test_maxherding_chooses_what_scikit_activeml_chooses(seed: int, n: int) -> None:
    assert N <= REFERENCES
    seen = candidates(seed)
    theirs = queried(pool.MaxHerding(metric_dict={"gamma": 1.0}, random_state=0), seen, n)
    assert chosen("maxherding", seen, n) == theirs
