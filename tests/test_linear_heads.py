"""Linear heads, beside scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from al_core.models.linear_heads import PENALTIES, committee, cross_validate, fit_heads, temperature

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
