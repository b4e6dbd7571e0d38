"""When to stop: gains and forecasts, against known numbers and by simulation."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from al_core.analysis.stopping import (
    Fit,
    Forecast,
    Gain,
    correlation,
    fit_curve,
    flat_in_words,
    forecast,
    forecast_in_words,
    gain_between,
    gain_in_words,
    is_flat,
)
from al_core.models.metrics import wilson_interval
from al_core.store.records import RoundRecord


def measured(number: int, labeled: int, hits: int, images: int) -> RoundRecord:
    metrics = {"accuracy": hits / images, "interval": wilson_interval(hits, images)}
    return RoundRecord(number, labeled, metrics, [], 0, 0, 0, 0, 0)


def rights(both: int, lost: int, gained: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Two networks on the same images, by how many each is right on."""
    before, after = np.array([[True, True, False, False], [True, False, True, False]])
    counts = [both, lost, gained, neither]
    return np.repeat(before, counts), np.repeat(after, counts)


def test_the_interval_for_independent_accuracies_is_newcombes() -> None:
    # Example (a) of the paper on independent proportions: 56/70 against 48/80.
    gain = gain_between(measured(0, 10, 48, 80), measured(1, 20, 56, 70))
    assert gain is not None
    assert (gain.low, gain.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_interval_for_the_same_images_is_newcombes() -> None:
    # Example (a) of the paper on paired data: 36 right in both, 12 and 2 in one, none in neither.
    before, after = rights(36, 2, 12, 0)
    rounds = [measured(k, k, int(right.sum()), 50) for k, right in enumerate((before, after))]
    gain = gain_between(*rounds, correlation(before, after))
    assert gain is not None
    assert (gain.low, gain.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@given(st.tuples(*[st.integers(0, 300)] * 4).filter(lambda counts: sum(counts) > 0))
def test_a_gain_lies_within_its_interval_and_swaps_its_sign_with_the_rounds(
    counts: tuple[int, int, int, int],
) -> None:
    before, after = rights(*counts)
    one, other = (measured(k, k, int(r.sum()), len(r)) for k, r in enumerate((before, after)))
    phi = correlation(before, after)
    there, back = gain_between(one, other, phi), gain_between(other, one, phi)
    assert there is not None
    assert back is not None
    assert -1 - 1e-9 <= there.low <= there.gain + 1e-9
    assert there.gain - 1e-9 <= there.high <= 1 + 1e-9
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_images_that_both_rounds_share_make_the_interval_narrower() -> None:
    before, after = rights(8200, 200, 300, 1300)
    rounds = [measured(k, k, int(right.sum()), 10_000) for k, right in enumerate((before, after))]
    alone, paired = gain_between(*rounds), gain_between(*rounds, correlation(before, after))
    assert alone is not None
    assert paired is not None
    assert alone.low < 0 < paired.low


def test_a_curve_is_flat_only_where_enough_test_images_say_so() -> None:
    def flat(before: int, after: int, images: int, labels: int = 2000) -> bool:
        rounds = measured(0, 1000, before, images), measured(3, labels, after, images)
        gain = gain_between(*rounds)
        assert gain is not None
        return is_flat(gain)

    assert flat(9000, 9020, 10_000)
    assert flat(9000, 8000, 10_000)
    assert not flat(9000, 9100, 10_000)  # a small gain, and a clear one
    assert not flat(324, 325, 360)
    assert not flat(9000, 9020, 10_000, labels=1060)  # too few labels to tell


N = np.arange(1000, 6001, 500)


def power(n: float | np.ndarray) -> float | np.ndarray:
    return 0.93 - 8 * n**-0.4


def noisy(shape, n: np.ndarray, images: int, retraining: float, rng) -> np.ndarray:
    expected = np.clip(shape(n) + rng.normal(0, retraining, len(n)), 0, 1)
    return rng.binomial(images, expected) / images


@pytest.mark.parametrize(
    ("images", "retraining", "target"),
    [(10_000, 0.003, 0.71), (10_000, 0.005, 0.7), (20_000, 0, 0.74)],
)
def test_the_interval_of_a_forecast_holds_the_truth_about_as_often_as_it_says(
    images: int, retraining: float, target: float
) -> None:
    rng = np.random.default_rng(1)
    truth = brentq(lambda n: power(n) - target, N[-1], 1e6) - N[-1]
    said = []
    for _ in range(50):
        fit = fit_curve(
            N.tolist(), noisy(power, N, images, retraining, rng).tolist(), [images] * len(N)
        )
        said.append(fit and forecast(fit, target))
    answers = [answer for answer in said if answer]
    assert len(answers) > 25
    assert np.mean([a.low <= truth <= a.high for a in answers]) >= 0.9
    assert np.median([a.labels for a in answers]) == pytest.approx(truth, rel=0.15)


@pytest.mark.parametrize(
    ("shape", "n", "images"),
    [
        (lambda n: 0.7 + 0 * n, N, 10_000),
        (power, N[:4], 10_000),
        (power, N, 360),
        (lambda n: 0.5 + 0.1 * np.sin(n), N, 10_000),
        (lambda n: 0.9 - 0.00005 * n, N, 10_000),
        (lambda n: 0.7 - 0.4 * np.exp(-n / 900), N, 10_000),  # ends below the target
    ],
    ids=["flat", "short", "few test images", "noise", "falling", "ends below"],
)
def test_where_no_forecast_can_be_made_nothing_is_said(shape, n: np.ndarray, images: int) -> None:
    rng = np.random.default_rng(2)
    said = 0
    for _ in range(25):
        accuracy = noisy(shape, n, images, 0.003, rng)
        fit = fit_curve(n.tolist(), accuracy.tolist(), [images] * len(n))
        said += fit is not None and forecast(fit, max(accuracy[-1], 0.7) + 0.04) is not None
    assert said <= 1


@pytest.mark.parametrize(
    "shape",
    [lambda n: 0.1 + 0.085 * np.log(n / 100), lambda n: 0.9 / (1 + np.exp(9 - 1.2 * np.log(n)))],
    ids=["logarithm", "sigmoid"],
)
def test_on_curves_of_another_shape_the_upper_end_is_not_too_low(shape) -> None:
    rng = np.random.default_rng(3)
    target = float(shape(N[-1])) + 0.03
    truth = brentq(lambda n: shape(n) - target, N[-1], 1e6) - N[-1]
    answers = []
    for _ in range(30):
        fit = fit_curve(N.tolist(), noisy(shape, N, 10_000, 0.003, rng).tolist(), [10_000] * len(N))
        answers.append(fit and forecast(fit, target))
    assert sum(truth > answer.high for answer in answers if answer) <= 1


def test_the_same_rounds_give_the_same_fit_and_a_farther_target_takes_longer() -> None:
    accuracy = noisy(power, N, 10_000, 0, np.random.default_rng(4)).tolist()
    one, other = (fit_curve(N.tolist(), accuracy, [10_000] * len(N)) for _ in range(2))
    assert isinstance(one, Fit)
    assert isinstance(other, Fit)
    said = [forecast(fit, 0.7) for fit in (one, other)]
    assert said[0] == said[1]
    reached = [forecast(one, target) for target in (0.69, 0.7, 0.71)]
    assert all(a and b and a.labels < b.labels for a, b in pairwise(reached))
    assert forecast(one, 0.5) is None
    mean, low, high = one.at(N.astype(float))
    assert np.all((low <= mean + 0.01) & (mean <= high + 0.01))
    assert mean == pytest.approx(power(N), abs=0.01)


def test_a_round_without_new_labels_or_of_one_class_breaks_nothing() -> None:
    assert fit_curve([10, 10, 20, 30, 40], [0.1, 0.2, 0.3, 0.4, 0.5], [100] * 5) is None
    fit_curve([10, 20, 30, 40, 50], [0.0, 0.0, 1.0, 1.0, 1.0], [100] * 5)
    assert correlation(*rights(10, 0, 0, 0)) == 0


def test_sentences_have_their_numbers_and_their_plurals() -> None:
    assert gain_in_words(Gain(100, 1, 0.012, 0.004, 0.02)) == (
        "The last 100 labels gained 1.2 points (95% interval 0.4 to 2.0)."
    )
    assert gain_in_words(Gain(1, 1, -0.012, -0.02, -0.004)) == (
        "The last label lost 1.2 points (95% interval −2.0 to −0.4)."
    )
    assert gain_in_words(Gain(1500, 1, -0.001, -0.01, 0.008)) == (
        "The last 1,500 labels made no clear difference: −0.1 points (95% interval −1.0 to 0.8)."
    )
    assert flat_in_words(Gain(1500, 1, 0.001, -0.01, 0.008)).startswith(
        "The curve is flat: the 1,500 labels of the last three rounds changed the accuracy by 0.1 "
    )
    assert flat_in_words(Gain(1500, 1, -0.01, -0.02, -0.001)).startswith("The curve falls")
    words = forecast_in_words(Forecast(0.85, 2433.2, 1876, 3351), 40_000)
    assert words == (
        "About 2,400 more labels would reach 85%, if the curve goes on as it has (95% interval "
        "1,900 to 3,400)."
    )
    assert forecast_in_words(Forecast(0.85, 2433.2, 1876, 3351), 900).endswith(
        "Only 900 images are left."
    )
