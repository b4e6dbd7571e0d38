"""The labelling grid: what it takes from a browser, and what a person does in one."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ui.label_grid import ANY, HAND_IN, UNDO, GridEvent, Tile, label_grid, parse_events, sprite

# Images 100, 101, ... of one batch; every event is appended to a log, one JSON list a line.
SCRIPT = """
import json
import time
from pathlib import Path
import numpy as np
import streamlit as st
from al_core.errors import StoreError
from ui.label_grid import Tile, label_grid, sprite_text

query = st.query_params
log = Path(query["log"])
names = json.loads(query.get("classes", '["cat", "dog", "bird"]'))
batch = int(query.get("batch", 1)) + st.session_state.get("next", 0)
pixels = np.random.default_rng(0).integers(0, 256, (int(query.get("n", 6)), 3, 32, 32), np.uint8)
stored = {100: 2} if st.checkbox("Stored") else {}

def store(events):
    if query.get("fail") and not st.session_state.get("repaired"):
        raise StoreError("The disk is full.")
    time.sleep(float(query.get("slow", 0)))
    with log.open("a") as lines:
        for event in events:
            print(json.dumps([event.event_id, event.image, event.act]), file=lines)

@st.fragment
def desk(tiles):
    label_grid(
        key=f"label-grid-{batch}", images=pixels, tiles=tiles, class_names=names,
        on_events=store, disabled=bool(query.get("disabled")), review=bool(query.get("review")),
        show_guesses=bool(query.get("guesses")),
        explain=lambda image: {
            "image": image, "chosen": f"rank {image}", "top": None, "hidden": "Hidden.",
            "near": [1], "size": 32, "sheet": sprite_text(pixels[:1]),
        },
    )
    if st.button("Repair"):
        st.session_state.repaired = True

guess = (1, 0.61) if query.get("guess") else None
desk([Tile(100 + i, stored.get(100 + i), guess) for i in range(len(pixels))])
st.text_input("Note")
if st.button("Count"):
    st.write(f"counted {len(log.read_text().splitlines())}")
if st.button("Next batch"):
    st.session_state.next = 1
    st.rerun()
"""


# ---- without a browser -------------------------------------------------------------------------


GOOD = [[7, 1, 5]]
NO_STATES = [None, 17, "events", [], {}, {"mount": "a"}, {"mount": "a", "events": GOOD}]
NO_MOUNTS = [None, 1, "", "../a", "a" * 65]
NO_FIRSTS = [None, "0", -1, 0.5, 10**12]
NO_EVENTS = [
    None,
    {"0": [7, 1, 5]},
    [None, 3, "row", [], [7], [7, 1], [7, 1, 5, 5]],
    [["7", 1, 5], [7.0, 1, 5], [7, True, 5], [7, 1, None]],
    [[8, 1, 5], [7, 2, 5], [7, -4, 5], [-1, 1, 5], [-1, -5, 5], [7, 1, -1]],
]


def test_what_no_grid_would_send_is_ignored():
    states = NO_STATES + [{"mount": m, "first": 0, "events": GOOD} for m in NO_MOUNTS]
    states += [{"mount": "a", "first": first, "events": GOOD} for first in NO_FIRSTS]
    states += [{"mount": "a", "first": 0, "events": events} for events in NO_EVENTS]
    assert [parse_events(state, {7}, classes=2)[2] for state in states] == [[]] * len(states)


def test_an_event_keeps_its_number_when_one_before_it_is_ignored():
    rows = [[99, 0, 5], [7, 1, 250], [7, -1, 10**30], [ANY, HAND_IN, 9]]
    mount, count, events = parse_events({"mount": "a", "first": 4, "events": rows}, {7}, classes=2)
    assert (mount, count) == ("a", 8)
    assert events == [
        (5, GridEvent("a:5", 7, 1, 250)),
        (6, GridEvent("a:6", 7, -1, 24 * 60 * 60 * 1000)),
        (7, GridEvent("a:7", ANY, HAND_IN, 9)),
    ]


@pytest.mark.parametrize("count", [1, 7, 600])
def test_the_sprite_holds_every_picture_unchanged(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(sprite(images.tobytes(), 32))))
    columns = sheet.shape[1] // 32
    for i, image in enumerate(images):
        top, left = i // columns * 32, i % columns * 32
        assert np.array_equal(sheet[top : top + 32, left : left + 32], image.transpose(1, 2, 0))


def test_each_tile_needs_its_picture():
    with pytest.raises(ValueError, match=r"uint8 \[2, 3, S, S\], one for each tile, not float64"):
        label_grid(
            key="grid",
            images=np.zeros((1, 3, 8, 8)),
            tiles=[Tile(0, None), Tile(1, None)],
            class_names=["cat"],
            on_events=print,
        )


# ---- in a browser ------------------------------------------------------------------------------


class Desk:
    """A page with the grid on it, and the log of what reached Python."""

    def __init__(self, browser, url: str, log: Path, touch: bool = False, **query) -> None:
        self.log = log
        log.touch()
        phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
        self.page = browser.new_page(**(phone if touch else {}))
        self.page.set_default_timeout(10_000)
        self.errors: list[Exception] = []
        self.page.on("pageerror", lambda error: self.errors.append(error))
        parts = {"log": log, **query}
        self.page.goto(url + "?" + "&".join(f"{name}={value}" for name, value in parts.items()))
        self.tiles = self.page.get_by_test_id("tile")
        self.tiles.first.wait_for(timeout=30_000)
        self.page.wait_for_function("document.activeElement !== document.body")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def labels(self) -> list[str]:
        return self.tiles.evaluate_all("tiles => tiles.map((tile) => tile.dataset.label)")

    def current(self) -> int:
        places = "tiles => tiles.findIndex((tile) => tile.getRootNode().activeElement === tile)"
        return self.tiles.evaluate_all(places)

    def selected(self) -> list[int]:
        states = self.tiles.evaluate_all("tiles => tiles.map((tile) => tile.ariaSelected)")
        return [i for i, state in enumerate(states) if state == "true"]

    def guesses(self) -> list[str]:
        return self.tiles.locator(".guess").all_inner_texts()

    def progress(self) -> str:
        return self.page.get_by_test_id("label-grid").get_by_role("status").inner_text()

    def events(self, count: int) -> list[tuple[int, int]]:
        """Image and label of each event, once ``count`` have arrived."""
        for _ in range(100):
            rows = [json.loads(line) for line in self.log.read_text().splitlines()]
            if len(rows) >= count:
                break
            self.page.wait_for_timeout(50)
        mounts = {event_id.partition(":")[0] for event_id, _, _ in rows}
        numbers = [int(event_id.partition(":")[2]) for event_id, _, _ in rows]
        assert len(mounts) <= 1
        assert numbers == list(range(count))
        return [(image, label) for _, image, label in rows]


@pytest.fixture(scope="module")
def url(browser, serve, tmp_path_factory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("app") / "grid_app.py"
    script.write_text(SCRIPT)
    with serve(script) as address:
        yield address


@pytest.fixture
def open_desk(browser, url, tmp_path) -> Iterator[Callable[..., Desk]]:
    desks = []

    def opening(**query: object) -> Desk:
        desks.append(Desk(browser, url, tmp_path / "events.jsonl", **query))
        return desks[-1]

    yield opening
    for desk in desks:
        desk.page.close()
        assert desk.errors == []


def test_sixty_labels_typed_in_half_a_second_all_arrive_in_order(open_desk):
    desk = open_desk(n=60)
    press = """() => {
        let typed = 0;
        const timer = setInterval(() => {
            const key = String(typed % 3);
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
def test_labels_typed_right_before_the_hand_in_are_in_it_and_come_once(open_desk, slow):
    # The click starts a second script thread while the first is still storing.
    desk = open_desk(slow=slow)
    desk.page.keyboard.type("012012")
    desk.page.get_by_role("button", name="Count").click()
    desk.page.get_by_text("counted").wait_for()
    assert desk.page.get_by_text("counted").inner_text() == "counted 6"
    assert len(desk.events(6)) == 6


def test_a_click_selects_a_tile_and_its_menu_lists_the_classes(open_desk):
    desk = open_desk()
    options = desk.page.get_by_role("option")
    desk.tiles.nth(4).click()
    assert (desk.current(), options.count()) == (4, 0)
    desk.tiles.nth(2).click(button="right")
    assert options.all_inner_texts() == ["cat\n0", "dog\n1", "bird\n2", "Skip\nS", "Clear\n⌫"]
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
    desk.press("Control+a", "0")
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
    desk.press("1")
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
    desk.press("ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "0")
    assert desk.labels() == ["", "cat", "cat", "cat", "", ""]
    desk.press("Control+a")
    assert desk.selected() == [0, 1, 2, 3, 4, 5]
    desk.press("Escape")
    assert (desk.selected(), desk.current()) == ([], 4)


def test_the_guess_is_hidden_until_there_is_a_label_that_differs(open_desk):
    desk = open_desk(guess=1)
    assert "61%" not in desk.page.get_by_test_id("label-grid").inner_text()
    desk.page.keyboard.type("012")
    assert desk.guesses() == ["≠ dog · 61%", "", "≠ dog · 61%", "", "", ""]
    assert "the model says dog · 61%" in desk.tiles.first.get_attribute("aria-label")


def test_a_setting_shows_the_guesses_from_the_start(open_desk):
    desk = open_desk(guess=1, guesses=1)
    desk.press("0")
    assert desk.guesses() == ["≠ dog · 61%"] + ["dog · 61%"] * 5


def test_enter_hands_in_once_and_only_when_nothing_is_open(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("01201")
    desk.press("Home", "Enter")
    assert desk.progress() == "1 still open: label or skip"
    assert desk.current() == 5
    desk.press("s", "Enter")
    assert desk.events(7)[-2:] == [(105, -1), (ANY, HAND_IN)]


def test_undo_with_nothing_left_in_this_grid_asks_for_what_came_before(open_desk):
    desk = open_desk()
    desk.press("0", "u", "u")
    assert desk.events(3) == [(100, 0), (100, UNDO), (ANY, UNDO)]


def test_a_review_moves_on_to_the_next_tile_and_hands_nothing_in(open_desk):
    desk = open_desk(review=1)
    desk.press("1", "2", "Enter", "End", "0", "u", "u", "u", "u")
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
    desk.page.keyboard.type("01")
    desk.page.get_by_text("saving…").wait_for()
    desk.page.get_by_text("2 of 6 saved").wait_for()
    assert desk.events(2) == [(100, 0), (101, 1)]


def test_many_classes_are_filtered_by_typing_and_reached_by_turning_the_keys(open_desk):
    desk = open_desk(classes=json.dumps([f"class {i}" for i in range(25)]))
    desk.press("l")
    desk.page.keyboard.type("s 17")
    desk.press("Enter", "]", "3", "[", "[", "4", "5")  # there is no class 25
    assert desk.labels() == ["class 17", "class 13", "class 24", "", "", ""]
    assert desk.events(3) == [(100, 17), (101, 13), (102, 24)]


def test_undo_restores_the_label_before_and_goes_back_to_its_tile(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("01")
    desk.press("Home", "2")
    assert (desk.labels()[:3], desk.current()) == (["bird", "dog", ""], 2)
    desk.press("u")
    assert (desk.labels()[:3], desk.current()) == (["cat", "dog", ""], 0)
    desk.press("Control+z")
    assert (desk.labels()[:3], desk.current()) == (["cat", "", ""], 1)
    assert desk.events(5) == [(100, 0), (101, 1), (100, 2), (100, UNDO), (101, UNDO)]


def test_skip_clear_and_moving_about(open_desk):
    desk = open_desk()
    desk.press("Space")
    assert desk.tiles.first.get_attribute("data-skipped") == "true"
    assert desk.progress() == "0 of 6 labelled, 1 skipped"
    desk.press("ArrowRight", "0")
    assert desk.current() == 3
    desk.press("ArrowLeft", "Backspace")
    assert (desk.labels(), desk.current()) == ([""] * 6, 2)
    desk.press("End", "1")
    assert desk.current() == 1  # the first that is open
    assert desk.events(4) == [(100, -1), (102, 0), (102, -2), (105, 1)]


def test_class_names_are_text_and_nothing_else(open_desk):
    name = "<script>window.hit = 1</script><img src=x onerror=window.hit=1>"
    desk = open_desk(classes=json.dumps([name, "dog"]))
    desk.press("0")
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
    desk.press("ArrowRight", "1")
    desk.page.get_by_text("Stored").click()
    desk.page.get_by_text("1 of 6 labelled").wait_for(state="detached")
    assert desk.labels() == ["bird", "dog", "", "", "", ""]
    desk.press("0")
    assert desk.labels() == ["bird", "dog", "cat", "", "", ""]
    assert desk.events(2) == [(101, 1), (102, 0)]


def test_the_next_batch_starts_anew(open_desk):
    desk = open_desk()
    desk.page.keyboard.type("01")
    desk.events(2)
    desk.log.write_text("")
    desk.page.get_by_role("button", name="Next batch").click()
    desk.page.get_by_text("2 of 6 labelled").wait_for(state="detached")
    assert desk.current() == 0
    desk.press("2")
    assert desk.labels() == ["bird"] + [""] * 5
    assert desk.events(1) == [(100, 2)]


def test_labels_that_could_not_be_stored_come_again(open_desk):
    desk = open_desk(fail=1)
    desk.page.keyboard.type("01")
    desk.page.get_by_text("Not saved yet: The disk is full.").wait_for()
    desk.page.get_by_role("button", name="Repair").click()
    desk.page.get_by_role("button", name="Save again").click()
    assert desk.events(2) == [(100, 0), (101, 1)]
    desk.page.get_by_text("2 of 6 saved").wait_for()
    assert not desk.page.get_by_role("button", name="Save again").is_visible()


def test_a_disabled_grid_takes_no_labels(open_desk):
    desk = open_desk(disabled=1)
    desk.page.keyboard.type("01su")
    desk.tiles.nth(3).click(button="right", force=True)  # Playwright knows aria-disabled
    assert desk.page.get_by_role("option").count() == 0
    assert desk.labels() == [""] * 6
    assert desk.events(0) == []
