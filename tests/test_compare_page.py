"""Curves side by side, and when to stop, in a real browser."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from desk import A_ROUND, QUICK, Desk, prepared, read
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from tabs import choose

from al_core.analysis.curves import Curve
from al_core.experiment.class_acts import change_classes, merge
from al_core.experiment.predictions import MeasuredPredictions, save_measured
from al_core.loop.round import measure
from al_core.models.metrics import wilson_interval
from al_core.store.records import Annotation, RoundRecord
from al_core.store.store import Store
from al_desk.results.compare import shorten
from al_desk.results.curve_choice import free_name
from al_desk.results.stopping import next_target
from al_desk.server.images import load_images

ROUNDS, IMAGES, CLASSES = 8, 10_000, 10


def measured(
    desk: Desk, exponent: float, minutes: float | None = None, seed: int = 0
) -> tuple[int, str]:
    """An experiment whose rounds follow a known curve, with the time that labelling took."""
    number = desk.start(replace(QUICK, seed=seed))
    # While a class has no label or is never recognised, nothing is forecast.
    desk.store.append(number, [Annotation(200 + k, k, 0, "me") for k in range(CLASSES)])
    for k in range(ROUNDS):
        labeled = 1000 + 400 * k
        hits = round(IMAGES * (0.93 - 8 * labeled**-exponent))
        right, wrong = np.eye(CLASSES, dtype=int), np.roll(np.eye(CLASSES, dtype=int), 1, axis=1)
        cell = (right * (hits // CLASSES) + wrong * (IMAGES // CLASSES - hits // CLASSES)).tolist()
        metrics = {"accuracy": hits / IMAGES, "interval": wilson_interval(hits, IMAGES),
                   "nll": 1.0, "ece": 0.1, "confusion": cell}  # fmt: skip
        record = RoundRecord(k, labeled, metrics, [[1, 1.0, 0.5]], 1, 1, 1, 1, 1)
        desk.store.add_round(number, record, None)
        if minutes and k:
            look = Annotation(100 + k, 1, k, "me", milliseconds=int(60_000 * minutes))
            desk.store.append(number, [look])
    return number, desk.store.experiment(number).name


def table(*rises: tuple[str, float]) -> bytes:
    """What the command line writes for strategies with five seeds each."""
    rng = np.random.default_rng(0)
    rows = ["strategy,seed,round,labeled,test_accuracy"]
    for strategy, rise in rises:
        for seed in range(5):
            for k in range(4):
                accuracy = 0.4 + rise * k + 0.002 * seed + rng.normal(0, 0.002)
                rows.append(f"{strategy},{seed},{k},{1000 + 500 * k},{accuracy}")
    return "\n".join(rows).encode()


def upload(page: Page, name: str, content: bytes) -> None:
    page.get_by_role("button", name="Add tables").click()
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content}
    )


def test_two_experiments_and_a_table_are_compared_with_no_experiment_open(desk: Desk) -> None:
    (_, one), (_, other) = measured(desk, 0.4, 0.5), measured(desk, 0.39)
    page = desk.open()
    page.get_by_text("Compare", exact=True).click(timeout=A_ROUND)
    expect(page.get_by_text("Choose experiments or simulations above")).to_be_visible()
    for name in (one, other):
        choose(page, "Experiments and simulations", name)
    alone = f"{other} and {one}: one run each says nothing about chance"
    expect(
        page.get_by_text(alone).or_(page.get_by_text(f"{one} and {other}: one run"))
    ).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart")).to_contain_text(other)

    upload(page, "runs.csv", table(("margin", 0.05), ("entropy", 0.0502), ("random", 0.03)))
    expect(page.get_by_text("margin is better than random by 2.9 points")).to_be_visible()
    expect(
        page.get_by_text(re.compile("5 seeds are not enough to tell them apart"))
    ).to_be_visible()
    expect(page.get_by_text("Pairs with too few seeds to say anything: 7")).to_be_visible()
    assert "view=Compare" in page.url

    page.get_by_text("Macro F1", exact=True).click()
    expect(page.get_by_text("Left out, since nobody measured it")).to_contain_text("margin")
    expect(page.get_by_test_id("stVegaLiteChart")).to_contain_text("Macro F1")
    assert "measure=Macro+F1" in page.url
    page.get_by_text("Accuracy", exact=True).click()

    page.get_by_text("Minutes spent", exact=True).click()
    left_out = page.get_by_text("Left out, since nobody's time was measured")
    expect(left_out).to_contain_text("entropy, margin")
    expect(left_out).to_contain_text(other)
    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart).to_contain_text("Minutes spent labelling")

    page.reload()
    expect(chart).to_contain_text("Minutes spent labelling", timeout=A_ROUND)
    expect(page.get_by_text("Left out, since nobody's time was measured")).to_contain_text(other)


def test_experiments_that_differ_in_their_seed_alone_are_averaged(desk: Desk) -> None:
    names = [measured(desk, 0.4 + seed / 1000, seed=seed)[1] for seed in (5, 6, 7)]
    page = desk.open(more="view=Compare&" + urlencode({"curves": names}, True))
    chart = page.get_by_test_id("stVegaLiteChart")
    expect(chart).to_contain_text("Least confidence, 3 experiments", timeout=A_ROUND)


def test_rounds_are_compared_by_the_classes_of_now_where_the_images_were_read(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the experiment's own page; where they were not, the page says so."""
    # AppTest leaves its script there, and processes that are spawned later would begin with it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    config, images = read(home, QUICK)
    number, truth = prepared(home), images.test.targets
    probs = np.eye(CLASSES, dtype=np.float32)[np.where(truth == 1, 7, truth)]
    said = MeasuredPredictions("test", np.arange(len(truth)), probs)
    for k in range(2):
        save_measured(store.folder(number), k, said)
        record = RoundRecord(k, 12 + 6 * k, measure(said, truth), [[1, 1.0, 0.5]], 1, 1, 1, 1, 1)
        store.add_round(number, record, None)

    def script(number: int) -> None:
        from al_core.store.store import Store
        from al_desk.results.compare import compare

        compare(Store(), number)

    def final() -> float:
        page.run()
        assert not page.exception
        return float(page.dataframe[0].value["final"].iloc[0])

    page = AppTest.from_function(script, default_timeout=120, kwargs={"number": number})
    assert final() == 90
    change_classes(store, number, "ada", merge(["1"], "7"))
    assert final() == 90
    by_records = "by the classes that each round had"
    (told,) = (one.value for one in page.caption if by_records in one.value)
    assert "quick" in told
    assert load_images(config).wait(60)
    assert final() == 100
    assert not any(by_records in one.value for one in page.caption)


def test_a_table_that_is_none_is_told_in_a_sentence(desk: Desk) -> None:
    page = desk.open(more="view=Compare")
    upload(page, "names.csv", b"name,age\nAnna,7\n")
    expect(page.get_by_text("names.csv is not a table as")).to_be_visible(timeout=A_ROUND)


def test_curves_without_a_range_in_common_are_drawn_and_not_compared(desk: Desk) -> None:
    page = desk.open(more="view=Compare")
    late = table(("late", 0.05)).replace(b",1000,", b",9000,").replace(b",1500,", b",9500,")
    rows = [row for row in late.splitlines() if b",2000," not in row and b",2500," not in row]
    upload(page, "runs.csv", table(("early", 0.05)) + b"\n" + b"\n".join(rows[1:]))
    expect(page.get_by_text("There is no range of labels in which")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_test_id("stVegaLiteChart")).to_contain_text("late")


def test_training_goes_on_while_curves_are_compared(desk: Desk) -> None:
    number = desk.start()
    page = desk.open(number, "&view=Compare")
    expect(page.get_by_text("0 of 2", exact=True)).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("1 of 2", exact=True)).to_be_visible(timeout=A_ROUND)
    assert len(desk.rows(number, "id", "rounds")) == 1
    expect(page.get_by_test_id("tile")).to_have_count(0)
    name = desk.store.experiment(number).name
    expect(page.get_by_role("button", name=f"Remove {name}")).to_be_visible()
    expect(page.get_by_text("A curve begins with its second round.")).to_be_visible()


def test_the_page_says_what_the_last_labels_gained_and_what_a_target_takes(desk: Desk) -> None:
    number, _ = measured(desk, 0.4)
    page = desk.open(number)
    expect(page.get_by_text("The last 400 labels")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text(re.compile("About .* more labels would reach 65%"))).to_be_visible()
    target = page.get_by_role("spinbutton", name="Target accuracy")
    target.fill("92.5")
    target.press("Enter")
    expect(page.get_by_text("The curve so far cannot tell when")).to_be_visible()
    target.fill("50")
    target.press("Enter")
    expect(page.get_by_text("That is reached.")).to_be_visible()


@pytest.mark.parametrize(
    ("accuracy", "target"),
    [(0.0, 5), (0.612, 65), (0.65, 70), (0.95, 96), (0.971, 98), (0.995, 100), (1.0, 100)],
)
def test_the_first_target_is_the_next_step_up(accuracy: float, target: float) -> None:
    assert next_target(accuracy) == target


def test_a_name_that_is_taken_says_where_the_other_came_from() -> None:
    assert free_name("margin", ["random"], "simulated") == "margin"
    assert free_name("margin", ["margin"], "simulated") == "margin (simulated)"


def test_settings_that_all_share_are_named_once() -> None:
    def names(*given: str) -> tuple[list[str], str]:
        curves, common = shorten([Curve(name, 0, (1,), (0.5,)) for name in given])
        return [curve.name for curve in curves], common

    assert names("Margin, digits (20 + 10)", "BADGE, digits (20 + 10)") == (
        ["Margin", "BADGE"],
        "digits (20 + 10)",
    )
    for different in (["Margin, digits"], ["Margin, digits", "Margin, birds"], ["mine", "yours"]):
        assert names(*different) == (different, "")
