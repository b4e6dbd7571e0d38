"""The labelling grid in a browser: each key does what it shows, on any keyboard and any screen."""

import json

import pytest
from playwright.sync_api import expect

from al_desk.routes.events import HAND_IN, UNDO

TEN = "abcdefghij"


def type_at(page, key: str, code: str, **held) -> None:
    """A key at a place, as a keyboard with other letters has it."""
    page.evaluate(
        """([key, code, held]) => document.body.dispatchEvent(new KeyboardEvent("keydown",
            {key, code, bubbles: true, composed: true, cancelable: true, ...held}))""",
        [key, code, held],
    )


@pytest.mark.parametrize(
    ("names", "keys", "typed", "labels"),
    [
        (TEN, "", "190", "aij"),
        ("12345", "", "123", "123"),
        ("0123456789", "", "019", "019"),
        (["cat", "1", "dog", "3"], "", "1234", ["1", "cat", "3", "dog"]),
        (["cat", "dog", "owl"], ["", "", "o"], "o12", ["owl", "cat", "dog"]),
        (["cat", "dog", "owl"], ["7", "", ""], "712", ["cat", "dog", "owl"]),
        (["cat", "7"], ["7", ""], "71", ["cat", "7"]),
    ],
)
def test_a_key_is_that_of_a_class_by_its_name_or_place_or_by_choice(
    open_desk, names, keys, typed, labels
):
    desk = open_desk(classes=json.dumps([*names]), keys=json.dumps([*keys]))
    legend = desk.page.get_by_role("group", name="Classes").get_by_role("button")
    shown = dict(reversed(text.split()) for text in legend.all_inner_texts())
    assert [shown[label].lower() for label in labels] == [*typed]
    desk.page.keyboard.type(typed)
    assert desk.labels()[: len(labels)] == [*labels]


def test_a_key_of_ones_own_labels_on_each_page_of_classes(open_desk):
    names = [f"species {i:02}" for i in range(25)]
    keys = ["", "g", "5", *[""] * 22]
    desk = open_desk(classes=json.dumps(names), keys=json.dumps(keys))
    desk.press("]", "g", "5", "1", "]", "g", "5", "1")
    assert desk.labels() == [
        "species 01", "species 02", "species 11", "species 01", "species 02", "species 20"
    ]  # fmt: skip


def test_the_page_of_classes_stays_over_batches_and_reloads(open_desk):
    desk = open_desk(classes=json.dumps([f"species {i:03}" for i in range(25)]))
    desk.press("]", "1")
    desk.events(1)
    desk.page.get_by_role("button", name="Next batch").click()
    expect(desk.tiles).to_have_count(6)
    desk.page.get_by_text("0 of 6 labelled").wait_for()
    desk.press("2")
    assert desk.labels()[0] == "species 011"
    desk.page.get_by_text("1 of 6 saved").wait_for()
    desk.page.reload()
    desk.page.get_by_text("1 of 6 labelled").wait_for()  # that of the first batch
    desk.page.get_by_role("textbox", name="Note").wait_for()
    desk.press("3")
    assert desk.labels()[:2] == ["species 010", "species 012"]


def test_a_name_labels_by_its_beginning_the_one_that_was_given_last_first(open_desk):
    names = [*TEN, "panda", "panther", "parrot", "Café", "sand"]
    desk = open_desk(classes=json.dumps(names))
    for typed in ("pant", "pa", "cafe", "cafe\u0301"):
        desk.press("/")
        desk.page.keyboard.insert_text(typed)
        desk.press("Enter")
    assert desk.labels()[:4] == ["panther", "panther", "Café", "Café"]
    desk.press("/")
    assert desk.page.get_by_role("option").all_inner_texts()[:3] == ["Café", "panther", "a\n1"]
    desk.press("Escape")


def test_an_open_list_takes_all_letters_and_digits(open_desk):
    desk = open_desk()
    desk.press("l")
    desk.page.keyboard.type("cats 1")
    assert desk.page.get_by_role("option").all_inner_texts() == ["Add “cats 1”\n⇧↵"]
    desk.press("Escape")
    desk.press("/", "z", "Escape")
    assert desk.labels() == [""] * 6
    assert desk.progress() == "0 of 6 labelled"
    assert desk.events(0) == []


def test_of_a_thousand_classes_those_in_sight_are_drawn(open_desk):
    desk = open_desk(classes=json.dumps([f"kind {i:03}" for i in range(1000)]))
    desk.press("l")
    options = desk.page.get_by_role("option")
    assert 10 < options.count() < 100
    desk.press("ArrowUp")  # before the first is none
    desk.page.keyboard.type("997")
    assert options.all_inner_texts() == ["kind 997", "Add “997”\n⇧↵"]
    desk.press("Enter", "l")
    assert options.first.inner_text() == "kind 997"
    desk.page.get_by_role("listbox").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    desk.page.wait_for_function("document.querySelector('*') !== null")
    expect(options.nth(100)).to_be_attached()


@pytest.mark.parametrize(
    ("key", "code"), [("ы", "KeyS"), ("σ", "KeyS"), ("ㄴ", "KeyS"), ("Process", "KeyS")]
)
def test_where_letters_are_not_latin_a_key_is_that_at_its_place(open_desk, key, code):
    desk = open_desk(classes=json.dumps([f"species {i:02}" for i in range(25)]))
    type_at(desk.page, key, code)
    assert desk.progress() == "0 of 6 labelled, 1 skipped"
    type_at(desk.page, "я", "KeyZ", ctrlKey=True)
    assert desk.progress() == "0 of 6 labelled"
    type_at(desk.page, "ъ", "BracketRight")
    type_at(desk.page, "3", "Digit3")
    assert desk.labels()[0] == "species 12"
    type_at(desk.page, "д", "KeyL")
    assert desk.page.get_by_role("option").count() > 10


def test_brackets_that_need_alt_turn_the_classes_and_the_digit_row_needs_no_shift(open_desk):
    desk = open_desk(classes=json.dumps([f"species {i:02}" for i in range(25)]))
    type_at(desk.page, "]", "Digit6", altKey=True)
    type_at(desk.page, "[", "Digit8", altKey=True, ctrlKey=True, modifierAltGraph=True)
    type_at(desk.page, "]", "Digit9", altKey=True, ctrlKey=True, modifierAltGraph=True)
    type_at(desk.page, "&", "Digit1")
    type_at(desk.page, "q", "KeyA")  # the French Q
    type_at(desk.page, "€", "KeyE", altKey=True)
    assert desk.labels()[:3] == ["species 10", "", ""]
    assert desk.progress() == "1 of 6 labelled, 1 skipped"


def test_after_a_field_a_list_a_toggle_or_a_button_keys_belong_to_the_tile(open_desk):
    desk = open_desk()
    page = desk.page
    desk.press("1")
    note = page.get_by_role("textbox", name="Note")
    note.fill("ada")
    note.press("Enter")
    expect(desk.tiles.nth(1)).to_be_focused()
    page.keyboard.type("2")
    assert note.input_value() == "ada"
    page.get_by_text("Lamp").click()
    expect(desk.tiles.nth(2)).to_be_focused()
    desk.press("Space")
    expect(page.get_by_role("switch", name="Lamp")).to_be_checked()
    page.get_by_role("combobox", name="Fruit").click()
    page.get_by_role("option", name="12 pears").click()
    expect(desk.tiles.nth(3)).to_be_focused()
    page.keyboard.type("1")
    page.get_by_role("combobox", name="Fruit").click()
    page.keyboard.type("app")
    page.keyboard.press("Enter")
    expect(desk.tiles.nth(4)).to_be_focused()
    page.keyboard.type("2")
    page.get_by_role("button", name="Count").click()
    expect(desk.tiles.nth(5)).to_be_focused()
    desk.press("Space")
    assert desk.labels() == ["cat", "dog", "", "cat", "dog", ""]
    assert desk.progress() == "4 of 6 labelled, 2 skipped. None left open"
    assert [code for _, code in desk.events(6)] == [0, 1, -1, 0, 1, -1]


def test_once_all_is_answered_a_further_key_changes_nothing(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("123123")
    desk.press("2", "Space", "Backspace", "q", "l", "3")
    assert desk.current() == -1
    assert desk.page.get_by_role("grid", name="Images").evaluate(
        "grid => grid.getRootNode().activeElement === grid"
    )
    assert desk.page.get_by_role("option").count() == 0
    assert desk.labels() == ["cat", "dog", "bird"] * 2
    desk.press("ArrowLeft", "1", "Enter")  # from the last one; then there is none again
    answers = [(100 + i, i % 3) for i in range(6)]
    assert desk.events(8) == [*answers, (104, 0), (-1, HAND_IN)]


def test_of_what_is_reloaded_answered_only_what_is_selected_is_labelled(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("123123")
    desk.page.get_by_text("6 of 6 saved").wait_for()
    desk.page.reload()
    desk.page.get_by_text("All labelled").wait_for()
    desk.page.get_by_role("textbox", name="Note").wait_for()
    desk.tiles.nth(2).click(modifiers=["Control"])
    assert desk.selected() == [2]
    desk.press("1")
    assert desk.labels() == ["cat", "dog", "cat", "cat", "dog", "bird"]
    desk.press("Control+a", "Backspace", "2")
    assert (desk.labels(), desk.current()) == (["dog", *[""] * 5], 1)


def test_of_two_grids_the_one_that_was_used_last_has_the_keys(open_desk):
    desk = open_desk(two=1)
    other = desk.page.get_by_test_id("label-grid").nth(1).get_by_test_id("tile")
    desk.tiles.nth(2).click()
    desk.press("3")
    assert desk.labels()[2] == "bird"
    other.nth(1).click()
    desk.press("2")
    expect(other.nth(1)).to_have_attribute("data-label", "dog")
    desk.tiles.nth(4).get_by_role("button").click()
    desk.page.get_by_role("option", name="cat").click()
    desk.press("2")
    assert desk.labels() == ["", "", "bird", "", "cat", "dog"]
    expect(other.first).to_have_attribute("data-label", "")


def test_what_was_undone_is_done_again_until_something_else_is(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("12")
    desk.press("u", "u", "Control+y")
    assert (desk.labels()[:2], desk.current()) == (["cat", ""], 1)
    desk.press("Control+Shift+Z", "Control+y")
    assert (desk.labels()[:3], desk.current()) == (["cat", "dog", ""], 2)
    desk.press("u", "3", "Control+y")
    assert desk.labels()[:3] == ["cat", "bird", ""]
    assert [code for _, code in desk.events(8)] == [0, 1, UNDO, UNDO, 0, 1, UNDO, 2]


@pytest.mark.parametrize(("width", "height"), [(1366, 625), (683, 312), (640, 360)])
def test_the_legend_is_in_sight_on_a_laptop_and_at_twice_the_size(open_desk, width, height):
    desk = open_desk(n=100, classes=json.dumps([f"class {i}" for i in range(10)]))
    desk.page.set_viewport_size({"width": width, "height": height})
    legend = desk.page.get_by_role("group", name="Classes").get_by_role("button")
    for keys in (["End"], ["z"], ["f"]):
        desk.press(*keys)
        for place in (0, 9):
            expect(legend.nth(place)).to_be_in_viewport(ratio=0.95)
            box = legend.nth(place).bounding_box()
            middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
            hit = desk.page.evaluate(
                "([x, y]) => { let node = document.elementFromPoint(x, y);"
                "while (node.shadowRoot) node = node.shadowRoot.elementFromPoint(x, y);"
                "return node.closest('button')?.title; }",
                middle,
            )
            assert hit == f"class {place}"
        expect(desk.page.get_by_role("button", name="Hand in batch")).to_be_in_viewport(ratio=0.95)


def test_forced_colours_show_the_current_tile_the_selection_and_the_entry(open_desk):
    desk = open_desk()
    desk.page.emulate_media(forced_colors="active")
    try:
        desk.press("ArrowRight", "Shift+ArrowRight")
        style = "(node, name) => getComputedStyle(node)[name]"
        styles = [
            [tile.evaluate(style, name) for name in ("outlineStyle", "borderTopStyle")]
            for tile in desk.tiles.all()
        ]
        assert styles[:4] == [
            ["none", "none"], ["none", "dashed"], ["solid", "dashed"], ["none", "none"]
        ]  # fmt: skip
        desk.press("l")
        active = desk.page.get_by_role("option").first
        assert active.evaluate(style, "outlineStyle") == "solid"
    finally:
        desk.page.emulate_media(forced_colors="none")


def test_a_screen_reader_is_told_rows_and_positions(open_desk):
    desk = open_desk(n=20)
    grid = desk.page.get_by_role("grid", name="Images")
    rows = grid.get_by_role("row")
    counts = [row.get_by_role("gridcell").count() for row in rows.all()]
    assert sum(counts) == 20
    assert len(counts) > 1
    assert grid.get_attribute("aria-rowcount") == str(len(counts))
    desk.press("ArrowDown", "1")
    tile = desk.tiles.nth(counts[0])
    assert tile.get_attribute("aria-colindex") == "1"
    assert tile.get_attribute("aria-label") == f"Image {counts[0] + 1} of 20, cat"
    assert rows.nth(1).get_attribute("aria-rowindex") == "2"
