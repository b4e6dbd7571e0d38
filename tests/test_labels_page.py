"""The way of a label to the log, in a real browser: whatever stands in it, it comes, once."""

import json

import pytest
from desk import A_ROUND, BY_HAND, Desk, tiles
from playwright.sync_api import Page, Route, expect
from waiting import until

WAITING = "2 answers are not saved yet."


def begin(desk: Desk) -> tuple[int, Page]:
    number = desk.start(BY_HAND)
    page = desk.open(number)
    tiles(page, 6)
    page.keyboard.press("1")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    return number, page


def said(desk: Desk, number: int) -> list[tuple]:
    return desk.rows(number, "label, annotator", "annotations")


def test_a_token_that_has_ended_is_renewed_and_its_labels_come_once(desk: Desk) -> None:
    number, page = begin(desk)
    tokens = []

    def end(route: Route) -> None:
        message = json.loads(route.request.post_data)
        tokens.append(message["grid"])
        if len(tokens) == 1:
            route.fulfill(status=401, json={"problem": "It has ended."})
        else:
            route.continue_()

    page.route("**/labels", end)
    page.keyboard.press("2")
    expect(page.get_by_text("2 of 6 saved")).to_be_visible()
    assert said(desk, number) == [(1, "me"), (2, "me")]
    assert len(tokens) >= 2


def test_answers_of_a_grid_that_has_gone_wait_and_are_told_until_they_are_saved(
    desk: Desk,
) -> None:
    number, page = begin(desk)
    page.route("**/labels", lambda route: route.abort())
    page.keyboard.type("23")
    page.get_by_text("Compare", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text=WAITING)).to_be_visible(timeout=A_ROUND)
    assert said(desk, number) == [(1, "me")]
    page.unroute("**/labels")
    expect(page.get_by_role("alert").filter(has_text=WAITING)).to_have_count(0, timeout=A_ROUND)
    assert said(desk, number) == [(1, "me"), (2, "me"), (3, "me")]
    page.get_by_text("Label", exact=True).click()
    expect(page.get_by_text("3 of 6 saved")).to_be_visible(timeout=A_ROUND)


def test_answers_are_saved_under_the_name_under_which_they_were_given(desk: Desk) -> None:
    number, page = begin(desk)
    page.route("**/labels", lambda route: route.abort())
    page.keyboard.type("23")
    expect(page.get_by_test_id("tile").nth(2)).to_have_attribute("data-label", "3")
    page.get_by_role("textbox", name="Your name").fill("ada")
    page.get_by_role("textbox", name="Your name").press("Enter")
    page.wait_for_function("document.cookie.includes('annotator')")
    expect(page.get_by_role("alert").filter(has_text=WAITING)).to_be_visible(timeout=A_ROUND)
    page.unroute("**/labels")
    expect(page.get_by_text("3 of 6 saved")).to_be_visible(timeout=A_ROUND)
    page.get_by_test_id("tile").nth(3).click()
    page.keyboard.press("4")
    expect(page.get_by_text("4 of 6 saved")).to_be_visible()
    assert said(desk, number) == [(1, "me"), (2, "me"), (3, "me"), (4, "ada")]


@pytest.mark.parametrize("leave", ["about:blank", "reload"])
def test_what_was_typed_as_the_page_was_left_is_saved(desk: Desk, leave: str) -> None:
    number, page = begin(desk)
    typed = """(keys) => { for (const key of keys) document.body.dispatchEvent(
        new KeyboardEvent("keydown", {key, bubbles: true, composed: true})); location.%s }"""
    go = "reload()" if leave == "reload" else "assign('about:blank')"
    page.evaluate(typed % go, "23456")
    until(lambda: len(said(desk, number)) == 6)
    assert [label for label, _ in said(desk, number)] == [1, 2, 3, 4, 5, 6]


def test_labels_changed_elsewhere_are_seen_and_win(desk: Desk) -> None:
    number, page = begin(desk)
    other = desk.open(number, "&view=Review")
    tiles(other, 1)
    other.keyboard.press("7")
    expect(other.get_by_text("Saved", exact=True)).to_be_visible()
    until(lambda: len(said(desk, number)) == 2)
    page.keyboard.press("2")  # its answer brings the other
    expect(page.get_by_test_id("tile").first).to_have_attribute("data-label", "7")
    page.keyboard.press("u")
    page.keyboard.press("u")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    expect(page.get_by_test_id("tile").first).to_have_attribute("data-label", "1")


def test_an_experiment_that_somebody_deleted_meanwhile_says_who_and_is_restored(
    desk: Desk,
) -> None:
    number, page = begin(desk)
    desk.store.delete_experiment(number, "ada")
    page.keyboard.press("2")  # it is kept all the same
    name = next(one.name for one in desk.store.experiments(deleted=True) if one.id == number)
    expect(page.get_by_text(f"“{name}” was deleted by ada a moment ago.")).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("button", name=f"Restore “{name}”").click()
    expect(page.get_by_text("2 of 6 saved")).to_be_visible(timeout=A_ROUND)
    assert said(desk, number) == [(1, "me"), (2, "me")]
