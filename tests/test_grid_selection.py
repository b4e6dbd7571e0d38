"""The labelling grid in a browser: moving about, and selecting by mouse, touch and keyboard."""

import json

from al_desk.routes.events import ANY, HAND_IN, NEW, UNDO


def test_a_click_selects_a_tile_and_its_menu_lists_the_classes(open_desk):
    desk = open_desk()
    options = desk.page.get_by_role("option")
    desk.tiles.nth(4).click()
    assert (desk.current(), options.count()) == (4, 0)
    desk.tiles.nth(2).click(button="right")
    assert options.all_inner_texts() == [
        "cat\n1",
        "dog\n2",
        "bird\n3",
        "Skip\nS",
        "Skip: unsure\nQ",
        "Skip: none of these\nN",
        "Skip: bad picture\nX",
        "Clear\n⌫",
    ]
    options.filter(has_text="dog").click()
    assert (desk.labels()[2], desk.current(), options.count()) == ("dog", 3, 0)
    desk.press("l", "ArrowDown", "ArrowDown", "Enter")
    assert (desk.labels()[3], desk.current()) == ("bird", 4)
    desk.tiles.nth(3).click(button="right")
    assert options.nth(2).get_attribute("aria-selected") == "true"
    desk.press("Escape")
    assert (options.count(), desk.current()) == (0, 3)
    assert desk.events(2) == [(102, 1), (103, 2)]


def test_a_tap_on_a_touch_screen_opens_the_class_list_and_fits_a_phone(open_desk):
    desk = open_desk(touch=True)
    desk.tiles.nth(1).tap()
    desk.page.get_by_role("option").filter(has_text="bird").tap()
    assert desk.events(1) == [(101, 2)]
    desk.press("Control+a", "1")
    desk.page.get_by_role("button", name="Hand in batch").tap()
    assert desk.events(8)[-1] == (ANY, HAND_IN)
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not desk.page.evaluate(wide)


def test_shift_click_selects_a_range_and_one_key_labels_it(open_desk):
    desk = open_desk()
    desk.tiles.nth(1).click()
    desk.tiles.nth(4).click(modifiers=["Shift"])
    assert desk.progress() == "4 selected"
    assert desk.selected() == [1, 2, 3, 4]
    desk.press("2")
    assert desk.labels() == ["", "dog", "dog", "dog", "dog", ""]
    assert (desk.selected(), desk.current()) == ([], 5)
    desk.press("u")  # once for all of them
    assert desk.labels() == [""] * 6
    answers = [(image, 1) for image in (101, 102, 103, 104)]
    assert desk.events(8) == answers + [(image, UNDO) for image, _ in answers]


def test_ctrl_click_adds_and_takes_away_and_a_click_on_a_class_labels_all(open_desk):
    desk = open_desk()
    desk.tiles.nth(0).click()
    for i in (2, 5, 3, 5):
        desk.tiles.nth(i).click(modifiers=["Control"])
    assert desk.selected() == [0, 2, 3]
    desk.page.get_by_role("group", name="Classes").get_by_role("button", name="bird").click()
    assert desk.labels() == ["bird", "", "bird", "bird", "", ""]
    assert desk.events(3) == [(100, 2), (102, 2), (103, 2)]


def test_a_drag_selects_the_tiles_it_crosses(open_desk):
    desk = open_desk(n=12)
    first, last = desk.tiles.nth(1).bounding_box(), desk.tiles.nth(3).bounding_box()
    desk.page.mouse.move(first["x"] + 60, first["y"] + 60)
    desk.page.mouse.down()
    desk.page.mouse.move(last["x"] + 20, last["y"] + 70, steps=5)
    assert desk.selected() == [1, 2, 3]
    desk.page.mouse.up()
    assert desk.selected() == [1, 2, 3]
    desk.press("s")
    assert desk.events(3) == [(101, -1), (102, -1), (103, -1)]


def test_the_keyboard_selects_many_as_well(open_desk):
    desk = open_desk()
    desk.press("ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "1")
    assert desk.labels() == ["", "cat", "cat", "cat", "", ""]
    desk.press("Control+a")
    assert desk.selected() == [0, 1, 2, 3, 4, 5]
    desk.press("Escape")
    assert (desk.selected(), desk.current()) == ([], 4)


def test_many_classes_are_filtered_by_typing_and_reached_by_turning_the_keys(open_desk):
    desk = open_desk(classes=json.dumps([f"class {i}" for i in range(25)]))
    desk.press("l")
    desk.page.keyboard.type("17")
    desk.press("Enter", "]", "4", "[", "[", "5", "6")  # there is no class 25
    assert desk.labels() == ["class 17", "class 13", "class 24", "", "", ""]
    assert desk.events(3) == [(100, 17), (101, 13), (102, 24)]


def test_the_class_list_finds_the_very_name_first_and_adds_what_no_class_is_called(open_desk):
    desk = open_desk(classes=json.dumps(["bobcat", "École", "wild cat", "cat", "caterpillar"]))
    for typed, label in (
        ("cat", "cat"), ("ecole", "École"), ("cater", "caterpillar"), ("obc", "obc"),
        ("wild  dog ", "wild dog"),
    ):  # fmt: skip
        desk.press("l")
        desk.page.keyboard.type(typed)
        desk.press("Enter")
        assert desk.labels()[desk.current() - 1] == label
    assert desk.events(5) == [(100, 3), (101, 1), (102, 4), (103, NEW), (104, NEW)]
    desk.press("l")
    desk.page.keyboard.type("caterp")
    desk.press("Shift+Enter")
    assert desk.labels()[5] == "caterp"
    assert desk.events(6)[-1] == (105, NEW)


def test_a_skip_has_a_reason_by_key_or_from_the_list(open_desk):
    desk = open_desk()
    desk.press("q", "n", "x", "s", "l")
    desk.page.keyboard.type("bad")
    desk.press("Enter")
    assert desk.progress() == "0 of 6 labelled, 5 skipped"
    assert [event[1] for event in desk.events(5)] == [-6, -7, -8, -1, -8]
    names = desk.tiles.locator(".name").all_inner_texts()
    assert names[:5] == ["Unsure", "None of these", "Bad picture", "Skipped", "Bad picture"]


def test_skip_clear_and_moving_about(open_desk):
    desk = open_desk()
    desk.press("Space")
    assert desk.tiles.first.get_attribute("data-skipped") == "true"
    assert desk.progress() == "0 of 6 labelled, 1 skipped"
    desk.press("ArrowRight", "1")
    assert desk.current() == 3
    desk.press("ArrowLeft", "Backspace")
    assert (desk.labels(), desk.current()) == ([""] * 6, 2)
    desk.press("End", "2")
    assert desk.current() == 1  # the first that is open
    assert desk.events(4) == [(100, -1), (102, 0), (102, -2), (105, 1)]
