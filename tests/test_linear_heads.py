"""Linear heads, beside scikit-learn's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

from al_core.models.class_weights import class_weights
from al_core.models.linear_heads import (
    PENALTIES,
    committee,
    cross_validate,
    fit_head,
    fit_heads,
    temperature,
)

FLOWERS = load_iris()
X = torch.tensor(FLOWERS.data, dtype=torch.float32)
Y = torch.tensor(FLOWERS.target, dtype=torch.int64)


@pytest.mark.parametrize("penalty", [0.01, 0.1, 1.0])
def test_a_head_says_what_scikit_learns_logistic_regression_says(penalty: float) -> None:
    head = fit_heads(X, Y, 3, torch.ones(1, len(Y)), torch.tensor([penalty]))
    mine = head.logits(X)[0].softmax(1).numpy()
    standard = ((X - X.mean(0)) / X.std(0, unbiased=False)).numpy()
    theirs = LogisticRegression(C=1 / (penalty * len(Y)), tol=1e-8, max_iter=5000)
    assert np.abs(theirs.fit(standard, Y.numpy()).predict_proba(standard) - mine).max() < 0.01


def test_heads_with_weights_of_their_own_do_not_disturb_each_other() -> None:
    weights = torch.stack([torch.ones(len(Y)), (Y != 2).float()])
    both = fit_heads(X, Y, 3, weights, torch.tensor([0.1, 0.1])).logits(X)
    assert (both[0].argmax(1) == Y).float().mean() > 0.9
    assert not (both[1].argmax(1) == 2).any()  # it never saw the third kind


def test_cross_validation_chooses_a_strong_penalty_for_noise_and_is_repeatable() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(60, 50, generator=generator)
    labels = torch.randint(2, (60,), generator=generator)
    chosen = [cross_validate(noise, labels, 2, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert chosen[0].penalty == max(PENALTIES)
    assert cross_validate(X, Y, 3, generator).penalty < max(PENALTIES)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_class_weights_are_one_on_average_and_at_power_one_those_of_scikit_learn(
    labels: list[int],
) -> None:
    ones, y = torch.ones(1, len(labels)), torch.tensor(labels)
    assert class_weights(ones, y, 5, 0.0).equal(ones)
    theirs = compute_sample_weight("balanced", labels)
    assert class_weights(ones, y, 5, 1.0)[0].tolist() == pytest.approx(theirs, rel=1e-4)
    assert class_weights(ones, y, 5, 0.5).mean().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("weighting", "rare"), [("off", 0.1), ("on", 0.25), ("full", 0.5), ("auto", 0.5)]
)
def test_a_head_that_sees_no_difference_predicts_the_weighted_shares_of_the_classes(
    weighting: str, rare: float
) -> None:
    """Nine of one class and one of the other, by the dozen: 9 : 1, by their roots 3 : 1, or even,
    which has the least balanced loss."""
    nothing, labels = torch.zeros(120, 3), torch.tensor([0] * 108 + [1] * 12)
    generator = torch.Generator().manual_seed(0)
    head, validation = fit_head(nothing, labels, 2, generator, weighting)
    before = head.logits(nothing)[0] * validation.temperature  # calibrated, they are as they occur
    assert before.softmax(1)[0, 1].item() == pytest.approx(rare, abs=0.01)
    assert validation.power == {"off": 0, "on": 0.5, "full": 1, "auto": 1}[weighting]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.integers(0, 9))
def test_class_weights_can_be_chosen_by_any_labels_even_one_of_a_class(
    labels: list[int], seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(len(labels), 3, generator=generator)
    head, validation = fit_head(points, torch.tensor(labels), 5, generator, "auto")
    assert validation.power in (0, 0.5, 1)
    assert head.logits(points).isfinite().all()


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_a_temperature_undoes_what_made_a_model_too_sure(factor: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4000, 4, generator=generator)
    labels = logits.softmax(1).multinomial(1, generator=generator)[:, 0]
    assert temperature((factor * logits).softmax(1), labels) == pytest.approx(factor, rel=0.1)


def test_a_few_labels_do_not_make_a_temperature_extreme() -> None:
    sure = torch.tensor([[0.7, 0.3]])
    assert temperature(sure[:0], Y[:0]) == 1
    assert 0.4 < temperature(sure, torch.tensor([0])) < 1
    assert 1 < temperature(sure, torch.tensor([1])) < 2.5


def test_a_committee_disagrees_where_labels_are_few() -> None:
    heads = committee(X, Y, 3, 0.01, torch.Generator().manual_seed(0))
    votes = heads.logits(X).softmax(2)
    assert votes.shape == (10, len(Y), 3)
    assert (votes.std(0).amax(1) > 0).all()
