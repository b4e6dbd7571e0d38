"""Learning curves: read, averaged, compared; by hand and against scipy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from al_core.analysis.comparison import Comparison, holm, in_words, judge, summary, where
from al_core.analysis.curves import (
    Curve,
    MeasuredOn,
    accuracy_title,
    area,
    bands,
    curve_of,
    read_curves,
    strategies_in_words,
    strategies_used,
)
from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.experiment.experiment import Experiment
from al_core.store.records import TRUTH, Annotation, Batch, RoundRecord

accuracies = st.lists(st.floats(0, 1), min_size=2, max_size=6)


def run(name: str, seed: int, *accuracy: float, start: int = 100, step: int = 100) -> Curve:
    return Curve(name, seed, tuple(start + step * i for i in range(len(accuracy))), accuracy)


def runs(name: str, *areas: float) -> list[Curve]:
    """Flat curves, a seed each, so that their areas are known."""
    return [run(name, seed, a, a) for seed, a in enumerate(areas)]


def record(number: int, labeled: int, accuracy: float | None) -> RoundRecord:
    metrics = accuracy and {"accuracy": accuracy, "interval": (accuracy - 0.1, accuracy + 0.1)}
    return RoundRecord(number, labeled, metrics or None, [], 0, 0, 0, 0, 0)


def experiment(annotations: list[Annotation], rounds: list[RoundRecord]) -> Experiment:
    config = ExperimentConfig(seed=7)
    return Experiment(1, "mine", config, "", 100, tuple(annotations), (), tuple(rounds))


def test_a_curve_has_the_minutes_that_persons_looked_and_a_long_look_is_a_minute() -> None:
    said = [
        Annotation(0, 1, 0, TRUTH, milliseconds=9_000),
        Annotation(1, 1, 1, "me", milliseconds=30_000),
        Annotation(1, None, 1, "me", milliseconds=3_600_000),
        Annotation(2, 1, 2, "you", milliseconds=15_000),
    ]
    rounds = [record(0, 1, 0.2), record(1, 2, 0.3), record(2, 3, 0.5)]
    curve = curve_of(experiment(said, rounds))
    assert curve is not None
    assert (curve.name, curve.seed, curve.labeled) == ("mine", 7, (1, 2, 3))
    assert curve.minutes == (0, 1.5, 1.75)
    assert curve.high == pytest.approx((0.3, 0.4, 0.6))
    by_truth = curve_of(experiment(said[:1], rounds))
    assert by_truth is not None
    assert by_truth.minutes is None


def test_a_curve_knows_what_it_is_measured_on_and_only_the_same_is_compared() -> None:
    birds = MeasuredOn("test", "birds", "b")
    assert birds.compares_with(MeasuredOn("test", "elsewhere", "b"))
    assert birds.compares_with(MeasuredOn())  # of a table
    assert not birds.compares_with(MeasuredOn("test", "birds", "c"))
    assert not birds.compares_with(MeasuredOn("test", "cats"))
    assert not birds.compares_with(MeasuredOn("random", "birds", "b"))
    assert str(MeasuredOn("random", "birds", "b")) == "random images of birds"

    both = replace(birds, kind="random")
    curves = [replace(curve, on=birds) for curve in runs("x", 0.3, 0.4, 0.5) + runs("y", 0.1)]
    curves += [replace(curve, on=both) for curve in runs("z", 0.6, 0.7, 0.8)]
    verdict = judge(curves, "labeled")
    assert verdict is not None
    assert [(c.better, c.worse) for c in verdict.comparisons] == [("x", "y")]
    assert summary(verdict, curves)["name"].tolist() == ["z", "x", "y"]
    assert accuracy_title(curves) == "Accuracy"
    assert accuracy_title(curves[:4]) == "Test accuracy"


def test_who_chose_is_read_off_the_batches_whose_labels_were_trained_on() -> None:
    one = experiment([], [record(k, k + 1, 0.5) for k in range(4)])
    assert strategies_used(one) == ((1, "least_confidence"),)
    chosen = ["random", "margin", "margin", "badge", "k_center"]
    batches = tuple(Batch(k, name, [k], None, id=k) for k, name in enumerate(chosen))
    assert strategies_used(replace(one, batches=batches)) == ((1, "margin"), (3, "badge"))
    assert strategies_in_words(replace(one, batches=batches)) == "Margin, then BADGE"


def test_less_than_a_minute_is_told_in_seconds() -> None:
    quick = [Curve(n, 0, (1, 2, 3), (0.1, 0.2, 0.3), minutes=(0, 0.25, 0.5)) for n in "ab"]
    verdict = judge(quick, "minutes")
    assert verdict is not None
    assert where(verdict) == "between 0 and 30 seconds"


def test_an_experiment_without_accuracies_has_no_curve() -> None:
    assert curve_of(experiment([], [])) is None
    assert curve_of(experiment([], [record(0, 10, None)])) is None


def test_the_mean_is_taken_where_all_runs_of_a_name_are_measured() -> None:
    one = Curve("margin", 0, (100, 200, 300), (0.1, 0.2, 0.3))
    other = Curve("margin", 1, (150, 250, 350), (0.25, 0.35, 0.45))
    table = bands([one, other], "labeled")
    assert table["x"].tolist() == [150, 200, 250, 300]
    assert table["mean"].tolist() == pytest.approx([0.2, 0.25, 0.3, 0.35])
    half = 12.706 * 0.1 / 2  # Student's t with one degree of freedom; the runs are 0.1 apart
    assert (table["high"] - table["mean"]).tolist() == pytest.approx([half] * 4, rel=1e-4)
    assert table["low"].tolist() == [0] * 4


def test_one_run_has_its_wilson_interval_or_none() -> None:
    alone = Curve("a", 0, (1, 2), (0.5, 0.6), (0.4, 0.5), (0.6, 0.7))
    table = bands([alone, replace(alone, name="b", low=None, high=None)], "labeled")
    assert table["low"].tolist()[:2] == [0.4, 0.5]
    assert table["low"].isna().tolist()[2:] == [True, True]


def test_runs_of_a_name_that_share_no_range_have_no_band() -> None:
    apart = [run("a", 0, 0.1, 0.2), run("a", 1, 0.3, 0.4, start=900)]
    assert bands(apart, "labeled").empty
    assert bands(apart, "minutes").empty
    assert judge(apart, "labeled") is None


def test_a_round_that_cost_no_time_stands_in_for_the_one_before() -> None:
    curve = Curve("a", 0, (1, 2, 3), (0.1, 0.2, 0.3), minutes=(0, 0, 4))
    assert bands([curve], "minutes")[["x", "mean"]].values.tolist() == [[0, 0.2], [4, 0.3]]


def test_the_area_is_the_mean_height_between_two_places() -> None:
    curve = run("a", 0, 0.0, 1.0, 1.0)
    assert area(curve, "labeled", 100, 300) == pytest.approx(0.75)
    assert area(curve, "labeled", 150, 250) == pytest.approx((0.375 + 0.5) / 1)


@given(accuracies, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_an_area_lies_within_the_curve_and_two_parts_make_the_whole(
    heights: list[float], one: float, other: float
) -> None:
    curve = run("a", 0, *heights)
    start, end = 100.0, 100.0 * len(heights)
    whole = area(curve, "labeled", start, end)
    assert min(heights) - 1e-9 <= whole <= max(heights) + 1e-9
    cut = start + one * (end - start)
    parts = [(start, cut), (cut, end)]
    total = sum((b - a) * area(curve, "labeled", a, b) for a, b in parts)
    assert total == pytest.approx(whole * (end - start), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8))
def test_p_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    one, other = (tuple(round(v, 3) for v in values) for values in zip(*pairs, strict=True))
    gaps = np.subtract(one, other)
    if np.ptp(gaps) < 1e-6:
        return
    verdict = judge(runs("a", *one) + runs("b", *other), "labeled")
    assert verdict is not None
    found = verdict.comparisons[0]
    expected = stats.ttest_rel(one, other)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.is_real == (expected.pvalue < 0.05)
    assert sorted(map(abs, (found.low, found.high))) == pytest.approx(
        sorted(map(abs, interval)), abs=1e-9
    )


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_nor_changes_the_order(values: list[float]) -> None:
    before = [Comparison("a", "b", 3, 0, 0, 0, p) for p in values]
    after = [c.p for c in holm(before)]
    for i, p in enumerate(values):
        assert p <= after[i] <= 1
        assert all(after[i] <= after[k] for k in range(len(values)) if p < values[k])
    assert not values or min(after) == min(1, len(values) * min(values))


def test_holm_by_hand() -> None:
    before = [Comparison("a", "b", 3, 0, 0, 0, p) for p in (0.01, 0.04, 0.03)]
    assert [c.p for c in holm(before)] == pytest.approx([0.03, 0.06, 0.06])


def test_differences_are_told_in_words_and_whoever_loses_is_named() -> None:
    curves = runs("random", 0.80, 0.81, 0.82) + runs("margin", 0.90, 0.92, 0.91)
    curves += runs("entropy", 0.70, 0.72, 0.73) + runs("badge", 0.91, 0.90, 0.92)
    verdict = judge(curves, "labeled")
    assert verdict is not None
    words = [in_words(found, verdict) for found in verdict.comparisons]
    assert len(words) == 6
    assert words[0].startswith(
        "margin is better than entropy by 19.3 points on average between 100"
    )
    assert any(w.startswith("random is better than entropy by 9.3 points") for w in words)
    assert words[-1].startswith(
        "margin and badge: 3 seeds are not enough to tell them apart (difference 0.0 points, 95% "
    )
    assert all("after Holm's correction" in sentence for sentence in words)
    table = summary(verdict, curves)
    assert table["name"].tolist() == ["margin", "badge", "random", "entropy"]
    assert table["sd"].iloc[2] == pytest.approx(0.01)


def test_the_final_accuracy_is_that_of_the_last_round() -> None:
    curves = [run("a", 0, 0.1, 0.3, 0.5), run("a", 1, 0.2, 0.3, 0.7)]
    verdict = judge(curves, "labeled")
    assert verdict is not None
    assert summary(verdict, curves)["final"].tolist() == pytest.approx([0.6])


def test_few_seeds_say_nothing_about_chance() -> None:
    def sentence(*curves: Curve) -> str:
        verdict = judge(curves, "labeled")
        assert verdict is not None
        return in_words(verdict.comparisons[0], verdict)

    assert sentence(*runs("x", 0.1), *runs("y", 0.2)) == (
        "x and y: one run each says nothing about chance; at least three seeds of each are needed."
    )
    assert "x and y have two seeds in common" in sentence(*runs("x", 0.1, 0.2), *runs("y", 0.2, 1))
    assert "x and y have no seed in common" in sentence(*runs("x", 0.1, 0.2), run("y", 5, 0.2, 0.2))


def test_runs_that_are_the_same_in_everything_cannot_be_told_apart() -> None:
    verdict = judge(runs("x", 0.1, 0.2, 0.4) + runs("y", 0.1, 0.2, 0.4), "labeled")
    assert verdict is not None
    assert (verdict.comparisons[0].p, verdict.comparisons[0].difference) == (1, 0)


TABLE = """strategy,seed,round,labeled,test_accuracy,train_seconds
margin,0,1,200,0.6,1.5
margin,0,0,100,0.5,1.5
margin,1,0,100,0.4,1.5
random,0,0,100,,1.5
"""


def test_a_table_of_the_command_line_is_read() -> None:
    curves = read_curves(TABLE.encode(), "runs.csv")
    assert curves == [
        Curve("margin", 0, (100, 200), (0.5, 0.6)),
        Curve("margin", 1, (100,), (0.4,)),
    ]


def test_the_intervals_of_a_table_are_those_of_its_curve() -> None:
    table = (
        b"strategy,seed,labeled,test_accuracy,macro_f1,macro_f1_low,macro_f1_high,leading\n"
        b"margin,0,20,0.7,0.6,0.5,0.7,balanced\nmargin,0,10,0.6,0.4,0.3,0.5,balanced\n"
    )
    (curve,) = read_curves(table, "runs.csv", "f1")
    assert curve == Curve("margin", 0, (10, 20), (0.4, 0.6), (0.3, 0.5), (0.5, 0.7), unequal=True)
    (curve,) = read_curves(table, "runs.csv")
    assert curve.low is curve.high is None


def test_a_table_without_a_measured_class_has_no_curve_of_means_over_classes() -> None:
    table = b"strategy,seed,labeled,test_accuracy,balanced_accuracy\nmargin,0,10,0.6,\n"
    assert read_curves(table, "runs.csv", "balanced") == []
    assert read_curves(table, "runs.csv") == [Curve("margin", 0, (10,), (0.6,))]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a table"),
        (b"\xff\xfe\x00", "is not a table"),
        (b"strategy,seed\na,1\n", "is not a table"),
        (b"strategy,seed,labeled,test_accuracy\na,x,1,0.5\n", "the last three numbers"),
        (b"strategy,seed,labeled,test_accuracy\na,1,1,50\n", "not between 0 and 1"),
        (b"strategy,seed,labeled,test_accuracy\n", "no row with a test accuracy"),
    ],
)
def test_what_is_no_such_table_is_told_in_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_curves(content, "runs.csv")
