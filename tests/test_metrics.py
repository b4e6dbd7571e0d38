"""Metrics, on predictions small enough to check by eye."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from al_core.models.metrics import evaluate, wilson_interval

PROBS = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
TRUTH = torch.tensor([0, 0, 1, 1])


def test_accuracy_and_confusion_count_what_was_said_of_each_truth() -> None:
    metrics = evaluate(PROBS, TRUTH)
    assert metrics.accuracy == 0.75
    assert metrics.confusion == [[2, 0], [1, 1]]


def test_nll_is_the_mean_of_minus_log_of_what_the_truth_was_given() -> None:
    expected = -torch.tensor([0.8, 0.6, 0.7, 0.1]).log().mean().item()
    assert evaluate(PROBS, TRUTH).nll == pytest.approx(expected)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    # Each prediction is alone in its bin: gaps of 0.2, 0.4, 0.3 and 0.9, of a quarter each.
    assert evaluate(PROBS, TRUTH).ece == pytest.approx((0.2 + 0.4 + 0.3 + 0.9) / 4)
    always_sure_and_right = torch.tensor([[1.0, 0.0]] * 4)
    assert evaluate(always_sure_and_right, torch.zeros(4, dtype=torch.int64)).ece == 0


def test_the_bins_of_the_calibration_error_are_kept_but_for_empty_ones() -> None:
    bins = evaluate(torch.tensor([[0.81, 0.19], [0.83, 0.17], [0.4, 0.6]]), torch.tensor([0, 1, 1]))
    assert [(images, right) for images, _, right in bins.reliability] == [(1, 1), (2, 1)]
    assert [sure for _, sure, _ in bins.reliability] == pytest.approx([0.6, 0.82])


def test_wilson_interval_matches_a_published_example() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I.
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = wilson_interval(0, 20)
    assert (round(low, 4), round(high, 4)) == (0.0, 0.1611)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_stays_between_0_and_1(counts: tuple) -> None:
    hits, n = counts
    low, high = wilson_interval(hits, n)
    library = binomtest(hits, n).proportion_ci(method="wilson")  # a thousand times as slow
    assert (low, high) == pytest.approx((library.low, library.high), abs=1e-8)
    assert 0 <= low <= hits / n + 1e-9
    assert hits / n - 1e-9 <= high <= 1
