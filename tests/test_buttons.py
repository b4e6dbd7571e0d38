"""A press has its effect, whatever else the browser sends at the same moment."""

from desk import BY_HAND, Desk, tiles
from playwright.sync_api import expect
from waiting import until

IN_ONE_MOMENT = """([tile, button]) => {
    tile.dispatchEvent(new KeyboardEvent("keydown", {key: "3", bubbles: true, composed: true}));
    button.click();
}"""


def test_a_press_is_not_lost_to_a_label_of_the_same_moment(desk: Desk) -> None:
    number = desk.start(BY_HAND)
    page = desk.open(number)
    tile = tiles(page, 6).first.element_handle()
    page.get_by_role("button", name="Delete").click()
    button = page.get_by_role("button", name="Delete experiment").element_handle()
    page.evaluate(IN_ONE_MOMENT, [tile, button])
    expect(page.get_by_text("Active-learning desk")).to_be_visible()
    assert desk.store.experiments(deleted=True)[-1].id == number
    until(lambda: desk.rows(number, "label", "annotations") == [(3,)])


def test_a_choice_is_not_lost_to_a_label_of_the_same_moment(desk: Desk) -> None:
    page = desk.open(desk.start(BY_HAND))
    tile = tiles(page, 6).first.element_handle()
    page.evaluate(IN_ONE_MOMENT, [tile, page.get_by_text("Compare", exact=True).element_handle()])
    expect(page.get_by_text("Choose experiments or simulations above")).to_be_visible()
