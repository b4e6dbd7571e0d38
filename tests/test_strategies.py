"""Strategies, on probabilities small enough to check by eye."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from al_core.catalogue import CATALOGUE
from al_core.errors import ConfigError
from al_core.strategies import SCORES, STRATEGIES, Candidates
from al_core.strategies.uncertainty import (
    bald,
    entropy,
    least_confidence,
    margin,
    variation_ratio,
)

PROBS = torch.tensor([
    [0.90, 0.05, 0.05],  # sure
    [0.50, 0.49, 0.01],  # two are close
    [0.40, 0.30, 0.30],  # the best guess is the weakest, and everything is possible
    [0.60, 0.20, 0.20],
])  # fmt: skip


def candidates(probs: torch.Tensor) -> Candidates:
    return Candidates(probs, torch.zeros(len(probs), 4), torch.zeros(1, 4))


def choose(name: str, probs: torch.Tensor, n: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return STRATEGIES[name](candidates(probs), n, generator).tolist()


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("least_confidence", [2, 1, 3, 0]),
        ("margin", [1, 2, 3, 0]),
        ("entropy", [2, 3, 1, 0]),
    ],
)
def test_ranking_strategies_order_four_images_as_their_papers_say(name: str, order: list) -> None:
    assert choose(name, PROBS, 4) == order


def test_scores_are_the_formulas_of_their_papers() -> None:
    assert least_confidence(PROBS)[2].item() == pytest.approx(0.6)
    assert margin(PROBS)[1].item() == pytest.approx(-0.01)
    assert entropy(torch.tensor([[0.5, 0.5]])).item() == pytest.approx(0.693147)
    assert entropy(torch.tensor([[1.0, 0.0]])).item() == 0
    # Two members: of one mind, torn alike, each sure of another class.
    votes = torch.tensor([[[1.0, 0], [0.5, 0.5], [1, 0]], [[1, 0], [0.5, 0.5], [0, 1]]])
    assert bald(votes).tolist() == pytest.approx([0, 0, 0.693147], abs=1e-6)
    assert variation_ratio(votes).tolist() == [0, 0, 0.5]


@given(
    name=st.sampled_from(sorted(STRATEGIES)),
    size=st.integers(1, 40),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_every_strategy_returns_exactly_n_distinct_positions_and_repeats_itself(
    name: str, size: int, share: float, seed: int
) -> None:
    n = round(share * size)
    probs = torch.rand(size, 5, generator=torch.Generator().manual_seed(seed)).softmax(1)
    chosen = choose(name, probs, n, seed)
    assert len(chosen) == n == len(set(chosen))
    assert set(chosen) <= set(range(size))
    assert chosen == choose(name, probs, n, seed)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_asking_for_more_than_the_pool_holds_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="only 4 are left"):
        choose(name, PROBS, 5)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_ties_are_broken_by_the_generator_not_by_position(name: str) -> None:
    alike = torch.full((100, 4), 0.25)
    assert choose(name, alike, 10, seed=1) != choose(name, alike, 10, seed=2)


def test_every_strategy_is_described_and_what_ranks_has_a_score() -> None:
    assert set(CATALOGUE) == set(STRATEGIES)
    assert {name for name, entry in CATALOGUE.items() if entry.ranks} == set(SCORES)
