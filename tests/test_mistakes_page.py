"""Where the model is wrong, in a real browser: classes, mistakes, and the map of the pool."""

import re
from dataclasses import replace

from desk import A_ROUND, QUICK, Desk, batch, hand_in, label_all
from playwright.sync_api import Page, expect
from tabs import choose

PICTURE = ".wall figure"


def drag(page: Page, left: float, top: float, right: float, bottom: float) -> None:
    """Drag over the chart, from and to shares of its width and height."""
    chart = page.get_by_test_id("stVegaLiteChart").locator("canvas, svg")
    expect(chart).to_be_visible(timeout=A_ROUND)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + left * box["width"], box["y"] + top * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + right * box["width"], box["y"] + bottom * box["height"], steps=8)
    page.mouse.up()


def test_the_mistakes_of_a_round_are_shown_and_filtered(desk: Desk) -> None:
    page = desk.open(desk.start_trained())
    batch(page, "Round 1")
    page.get_by_role("tab", name="Classes").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    page.get_by_role("tab", name="Mistakes").click()
    expect(page.locator(PICTURE)).to_have_count(40)
    expect(page.get_by_text(re.compile(r"with the temperature \d\.\d\d"))).to_be_visible()
    alt = page.locator(f"{PICTURE} img").first.get_attribute("alt")
    predicted, truth = re.fullmatch(r"(\d) \d+%, is (\d)", alt or "").groups()
    assert predicted != truth
    pictures = page.locator(PICTURE)
    for name, digit, words in (
        ("Truth", truth, rf"is {truth}"),
        ("Prediction", predicted, rf"{predicted} \d+%"),
    ):
        choose(page, name, digit)
        expect(pictures.filter(has_not_text=re.compile(words))).to_have_count(0)
        expect(pictures.first).to_be_visible()


def test_the_map_has_its_pictures_under_the_brush_and_that_of_a_former_round_the_latest_guesses(
    desk: Desk,
) -> None:
    page = desk.open(desk.start_trained(replace(QUICK, rounds=1)))
    batch(page, "Round 1")
    page.get_by_role("tab", name="Map").click()
    page.get_by_role("button", name="Draw the map").click()
    expect(page.get_by_text("240 of 240 images")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("the network of round 0")).to_be_visible()
    drag(page, 0.02, 0.1, 0.98, 0.75)
    expect(page.locator(PICTURE)).to_have_count(60)
    waiting = page.locator(PICTURE).filter(has_text="waits for its label")
    expect(waiting.first).to_be_visible()  # blind first; one may lie just outside of the brush
    assert 3 <= waiting.count() <= 6
    expect(
        page.locator(PICTURE).filter(has_text=re.compile(r"\d \d+%\s*guess")).last
    ).to_be_visible()

    label_all(page, 6)
    hand_in(page)
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("The guesses are those of round 1.")).to_be_visible()
    page.get_by_role("button", name="Draw it for the pool as it is now").click()
    expect(page.get_by_text("the network of round 1")).to_be_visible(timeout=A_ROUND)
