"""Classes of unequal size: what is measured, with which interval, and what may not be hidden."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score
from squares import config
from streamlit.testing.v1 import AppTest
from tiny import folder_of, loaded

from al_core.analysis.classes import Gaps, gaps_in_words, gaps_of
from al_core.analysis.curves import curve_of
from al_core.experiment.experiment import Experiment
from al_core.images.survey import survey
from al_core.models.metrics import estimate, leading, wilson_interval
from al_core.progress import finish
from al_core.store.records import Annotation, Batch, RoundRecord
from benchmarks.coverage import SIZES, covered

CLOTHES = ("coat", "pullover", "scarf")


def metrics(confusion: list[list[int]]) -> dict:
    hits, n = int(np.trace(confusion)), int(np.sum(confusion))
    return {"accuracy": hits / n, "interval": wilson_interval(hits, n), "confusion": confusion}


def experiment(confusion: list[list[int]], labels: list[int], rounds: int = 6) -> Experiment:
    records = [
        RoundRecord(k, 100 * 2**k, metrics(confusion), [], 0, 0, 0, 0, 0) for k in range(rounds)
    ]
    given = tuple(Annotation(i, label, 0, "me") for i, label in enumerate(labels))
    settings = config(class_names=CLOTHES, random_baseline=False, rounds=rounds, held_out_share=0.0)
    return Experiment(1, "mine", settings, "", 100, given, (), tuple(records))


@pytest.mark.parametrize("measure", ["balanced", "f1"])
@pytest.mark.parametrize(
    "recalls", ["1% each", "half each", "99% each", "rare ones never", "rare ones at 98%"]
)
def test_the_intervals_hold_the_truth_as_often_as_they_say_on_sets_like_the_stamps(
    recalls: str, measure: str
) -> None:
    for errors in ("by size", "next"):
        held, width = covered(SIZES["stamps"], recalls, errors, measure, trials=400)
        assert held >= 0.93
        assert width < 0.35  # an interval from 0 to 1 would hold it always


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=8, max_size=60))
def test_means_over_classes_are_those_of_scikit_learn_and_lie_in_their_intervals(pairs) -> None:
    pairs = [*pairs, *((k, k) for k in range(4)), *((k, 0) for k in range(4))]  # two of each class
    truth, predicted = np.array(pairs).T
    confusion = np.zeros((4, 4), dtype=int)
    np.add.at(confusion, (truth, predicted), 1)
    known = {
        "balanced": balanced_accuracy_score(truth, predicted),
        "f1": f1_score(truth, predicted, average="macro"),
    }
    for measure, value in known.items():
        found = estimate(metrics(confusion.tolist()), measure)
        assert found.value == pytest.approx(value)
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_balanced_accuracy_leads_where_the_largest_class_is_more_than_five_times_the_smallest() -> (
    None
):
    assert leading(metrics([[10, 0], [0, 50]])) == "accuracy"
    assert leading(metrics([[10, 0], [0, 51]])) == "balanced"
    assert leading(metrics([[1, 0, 0], [0, 20, 0], [0, 0, 50]])) == "accuracy"  # one is unmeasured


def test_a_class_with_one_image_is_left_out_of_the_means() -> None:
    found = estimate(metrics([[0, 1, 0], [0, 4, 0], [0, 0, 4]]), "balanced")
    assert found.value == 1
    assert np.isnan(estimate(metrics([[1, 0], [0, 1]]), "f1").value)


def test_classes_that_the_figures_hide_are_named_and_many_are_counted() -> None:
    hidden = gaps_of(experiment([[0, 5, 0], [0, 495, 0], [0, 1, 0]], [1, 1, 2]))
    assert hidden == Gaps(("coat",), (), ("scarf",))
    assert gaps_in_words(hidden)[0] == "No label yet: coat."
    hidden = gaps_of(experiment([[0, 5, 0], [0, 495, 0], [0, 0, 9]], [0, 1, 2]))
    assert hidden == Gaps((), ("coat",), ())
    assert gaps_in_words(hidden) == ["Never recognised: coat."]
    held_out = Batch(0, "random", [0, 1, 2], None, held_out=[2])  # no training sees its label
    seen = replace(experiment([[0, 5, 0]] * 3, [0, 1, 2]), batches=(held_out,))
    assert gaps_of(seen).unlabelled == ("scarf",)
    many = Gaps(tuple(f"c{i}" for i in range(9)), (), ())
    assert gaps_in_words(many) == ["No label yet: c0, c1, c2, c3, c4 and 4 more."]


def test_a_curve_of_another_measure_is_derived_from_rounds_that_were_recorded_before() -> None:
    run = experiment([[0, 5, 0], [0, 495, 0], [0, 0, 0]], [1])
    accuracy, balanced = curve_of(run), curve_of(run, "balanced")
    assert accuracy is not None
    assert balanced is not None
    assert accuracy.unequal
    assert (accuracy.accuracy[-1], balanced.accuracy[-1]) == (0.99, 0.5)


def page(confusion: list[list[int]], labels: list[int]) -> None:
    from al_desk.results.headline import at_a_glance
    from al_desk.results.tabs import show_results
    from tests.test_unequal_classes import experiment

    run = experiment(confusion, labels)
    at_a_glance(run, None)
    show_results(None, run, None)


def words(at: AppTest) -> str:
    return " ".join(str(one.value) for one in (*at.markdown, *at.caption)).replace("\\", "")


def test_the_page_says_what_is_missing_and_gives_no_verdict_until_it_is_found() -> None:
    wear = [[0, 500, 0], [0, 49500, 0], [0, 500, 0]]
    told = AppTest.from_function(page, args=(wear, [1] * 100), default_timeout=60).run()
    assert not told.exception
    assert told.metric[-1].label == "Balanced accuracy"
    assert "No label yet: coat, scarf." in words(told)
    assert "Answering pullover every time would have an accuracy of 98" in words(told)
    assert "Nobody can tell whether this curve is flat" in words(told)
    assert "The curve is flat" not in words(told)
    found = [[250, 250, 0], [0, 49500, 0], [0, 250, 250]]
    flat = AppTest.from_function(page, args=(found, [0, 1, 2]), default_timeout=60).run()
    assert not flat.exception
    assert "No label yet" not in words(flat)
    assert "The curve is flat" in words(flat)


def test_every_class_of_four_has_two_test_images_and_a_smaller_one_is_named_before(
    tmp_path: Path,
) -> None:
    sizes = {"one": 1, "three": 3, "four": 4, "seven": 7, "twenty": 20}
    files = [f"{name}/{i}.png" for name, count in sizes.items() for i in range(count)]
    source = folder_of(tmp_path / "unequal", *files)
    dataset = loaded(source, tmp_path / "cache")
    tested = np.bincount(dataset.test.targets, minlength=5)
    by_name = dict(zip(dataset.test.class_names, tested.tolist(), strict=True))
    assert by_name == {"one": 0, "three": 0, "four": 2, "seven": 2, "twenty": 4}
    told = finish(survey(str(source), cache_dir=tmp_path / "cache"))
    assert set(told.unmeasured) == {"one", "three"}
    assert dict(told.classes) == sizes
