"""The labelling grid in a browser: what a person does, and that it arrives, once and in order."""

import json

import pytest
from playwright.sync_api import expect

from al_desk.routes.events import ANY, HAND_IN, UNDO


def test_sixty_labels_typed_in_half_a_second_all_arrive_in_order(open_desk):
    desk = open_desk(n=60)
    press = """() => {
        let typed = 0;
        const timer = setInterval(() => {
            const key = String(1 + typed % 3);
            const init = { key, code: "Digit" + key, bubbles: true, composed: true };
            document.body.dispatchEvent(new KeyboardEvent("keydown", init));
            if (++typed === 60) clearInterval(timer);
        }, 8);
    }"""
    desk.page.evaluate(press)
    assert desk.events(60) == [(100 + i, i % 3) for i in range(60)]
    assert desk.labels() == ["cat", "dog", "bird"] * 20
    assert desk.progress() == "60 of 60 labelled. All labelled"


@pytest.mark.parametrize("slow", [0, 0.3])
def test_labels_typed_right_before_the_hand_in_come_before_it_and_once(open_desk, slow):
    desk = open_desk(slow=slow)
    desk.page.keyboard.type("123123")
    desk.press("Enter", "Enter")
    labels = [(100 + i, i % 3) for i in range(6)]
    assert desk.events(7) == [*labels, (ANY, HAND_IN)]


def test_the_guess_is_hidden_until_there_is_a_label_that_differs(open_desk):
    desk = open_desk(guess=1)
    assert "61%" not in desk.page.get_by_test_id("label-grid").inner_text()
    desk.page.keyboard.type("123")
    assert desk.guesses() == ["≠ dog · 61%", "", "≠ dog · 61%", "", "", ""]
    assert "prediction dog · 61%" in desk.tiles.first.get_attribute("aria-label")


def test_a_setting_shows_the_guesses_from_the_start(open_desk):
    desk = open_desk(guess=1, guesses=1)
    desk.press("1")
    assert desk.guesses() == ["≠ dog · 61%"] + ["dog · 61%"] * 5


def test_enter_hands_in_once_and_only_when_nothing_is_open(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("12312")
    desk.press("Home", "Enter")
    assert desk.progress() == "1 still open: label or skip"
    assert desk.current() == 5
    desk.press("s", "Enter")
    assert desk.events(7)[-2:] == [(105, -1), (ANY, HAND_IN)]


def test_undo_with_nothing_left_in_this_grid_asks_for_what_came_before(open_desk):
    desk = open_desk()
    desk.press("1", "u", "u")
    assert desk.events(3) == [(100, 0), (100, UNDO), (ANY, UNDO)]


def test_a_review_moves_on_to_the_next_tile_and_hands_nothing_in(open_desk):
    desk = open_desk(review=1)
    desk.press("2", "3", "Enter", "End", "1", "u", "u", "u", "u")
    assert desk.current() == 0
    assert desk.labels() == [""] * 6
    assert desk.events(6) == [
        (100, 1), (101, 2), (105, 0), (105, UNDO), (101, UNDO), (100, UNDO)
    ]  # fmt: skip


def test_why_this_image_is_asked_for_the_tile_in_focus(open_desk):
    desk = open_desk()
    desk.press("w", "ArrowRight", "ArrowRight")
    desk.page.get_by_text("rank 102").wait_for()
    panel = desk.page.get_by_role("complementary", name="Why this image")
    assert "Hidden." in panel.inner_text()
    assert panel.locator("figcaption").all_inner_texts() == ["dog"]
    desk.press("w")
    panel.wait_for(state="hidden")


def test_what_is_saved_is_said_when_it_is(open_desk):
    desk = open_desk(slow=0.5)
    desk.page.keyboard.type("12")
    desk.page.get_by_text("saving…").wait_for()
    desk.page.get_by_text("2 of 6 saved").wait_for()
    assert desk.events(2) == [(100, 0), (101, 1)]


def test_undo_restores_the_label_before_and_goes_back_to_its_tile(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("12")
    desk.press("Home", "3")
    assert (desk.labels()[:3], desk.current()) == (["bird", "dog", ""], 2)
    desk.press("u")
    assert (desk.labels()[:3], desk.current()) == (["cat", "dog", ""], 0)
    desk.press("Control+z")
    assert (desk.labels()[:3], desk.current()) == (["cat", "", ""], 1)
    assert desk.events(5) == [(100, 0), (101, 1), (100, 2), (100, UNDO), (101, UNDO)]


def test_class_names_are_text_and_nothing_else(open_desk):
    name = "<script>window.hit = 1</script><img src=x onerror=window.hit=1>"
    desk = open_desk(classes=json.dumps([name, "dog"]))
    desk.press("1")
    assert desk.labels()[0] == name
    assert name in desk.tiles.first.inner_text()
    desk.press("l")
    assert name in desk.page.get_by_role("option").first.inner_text()
    assert desk.page.evaluate("window.hit") is None


def test_keys_typed_into_a_text_field_label_nothing(open_desk):
    desk = open_desk()
    desk.page.get_by_label("Note").click()
    desk.page.keyboard.type("012 su")
    assert desk.page.get_by_label("Note").input_value() == "012 su"
    assert desk.labels() == [""] * 6
    assert desk.events(0) == []


def test_a_full_rerun_brings_stored_labels_but_not_over_those_just_given(open_desk):
    desk = open_desk()
    desk.press("ArrowRight", "2")
    desk.page.get_by_text("Stored").click()
    desk.page.get_by_text("1 of 6 labelled").wait_for(state="detached")
    assert desk.labels() == ["bird", "dog", "", "", "", ""]
    desk.press("1")
    assert desk.labels() == ["bird", "dog", "cat", "", "", ""]
    assert desk.events(2) == [(101, 1), (102, 0)]


def test_the_next_batch_starts_anew(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("12")
    desk.events(2)
    desk.log.write_text("")
    desk.page.get_by_role("button", name="Next batch").click()
    desk.page.get_by_text("0 of 6 labelled").wait_for()
    expect(desk.tiles).to_have_count(6)  # the grid that goes may stand beside it for a moment
    expect(desk.tiles.first).to_be_focused()
    assert desk.current() == 0
    desk.press("3")
    assert desk.labels() == ["bird"] + [""] * 5
    assert desk.events(1) == [(100, 2)]


def test_labels_that_could_not_be_stored_come_again(open_desk):
    desk = open_desk()
    full = desk.page.get_by_text("The disk is full", exact=True)
    full.click()
    desk.page.get_by_text("Not saved yet: The disk is full.").wait_for()
    desk.tiles.first.click()
    desk.page.keyboard.type("12")
    assert desk.labels() == ["cat", "dog", "", "", "", ""]
    full.click()
    desk.page.get_by_text("2 of 6 saved").wait_for()
    assert desk.events(2) == [(100, 0), (101, 1)]
    assert not desk.page.get_by_role("button", name="Save again").is_visible()
