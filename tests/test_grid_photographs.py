"""The labelling grid in a browser: photographs, small and large."""

import re

from playwright.sync_api import expect


def scale(desk) -> int:
    """How large the large picture is, in percent."""
    return int(desk.page.get_by_test_id("large").locator(".size").inner_text().rstrip("%"))


def place(desk) -> list[float]:
    """Where the corner of the large picture is."""
    image = desk.page.get_by_test_id("large").locator("img").last
    moved = re.search(r"translate\((.*?)px, (.*?)px\)", image.get_attribute("style"))
    return [float(moved[1]), float(moved[2])]


def sizes(desk) -> list[tuple[int, int]]:
    boxes = [box.bounding_box() for box in desk.tiles.locator(".picture").all()]
    return [(round(box["width"]), round(box["height"])) for box in boxes]


def test_the_selector_of_a_tile_opens_the_class_list_by_mouse_alone(open_desk):
    desk = open_desk()
    selector = desk.tiles.nth(2).get_by_role("button")
    assert selector.inner_text() == "Label"
    selector.click()
    desk.page.get_by_role("option", name="dog").click()
    assert (selector.inner_text(), desk.labels()[2]) == ("dog", "dog")
    selector.click()
    desk.page.get_by_role("option", name="bird").click()
    assert desk.labels()[2] == "bird"
    desk.tiles.nth(3).click()
    desk.tiles.nth(5).click(modifiers=["Shift"])
    desk.tiles.nth(4).get_by_role("button").click()  # one of those that are selected: all of them
    desk.page.get_by_role("option", name="cat").click()
    assert desk.labels() == ["", "", "bird", "cat", "cat", "cat"]


def test_pictures_lie_in_rows_of_one_height_or_in_squares_in_four_sizes_that_stay(open_desk):
    desk = open_desk(size="3000x1500")
    assert sizes(desk) == [(208, 104)] * 6
    desk.press("+", "+", "+", "+")
    assert sizes(desk)[0][1] == 256
    desk.press("-")
    assert sizes(desk) == [(320, 160)] * 6
    slider = desk.page.get_by_role("slider", name="Size of the pictures")
    assert slider.input_value() == "2"
    slider.fill("0")
    assert sizes(desk) == [(128, 64)] * 6
    desk.page.get_by_role("button", name="Rows").click()
    assert sizes(desk)[0][1] == 64
    desk.press("+", "1")
    assert sizes(desk) == [(104, 104)] * 6
    assert desk.labels()[0] == "cat"
    desk.page.get_by_text("1 of 6 saved").wait_for()
    desk.page.reload()
    desk.page.get_by_text("1 of 6 labelled").wait_for()
    assert sizes(desk) == [(104, 104)] * 6
    assert desk.page.get_by_role("button", name="Squares").is_visible()


def test_small_pictures_are_made_of_whole_squares_in_each_size(open_desk):
    desk = open_desk(size="28x28")
    for _ in range(4):
        images = desk.tiles.locator("img").evaluate_all(
            "all => all.map((image) => [image.getBoundingClientRect().width,"
            "getComputedStyle(image).imageRendering])"
        )
        assert {(width % 28, how) for width, how in images} == {(0, "pixelated")}
        desk.press("+")


def test_the_name_of_a_file_is_under_the_pointer_and_in_why(open_desk):
    desk = open_desk()
    assert desk.tiles.nth(1).locator(".picture").get_attribute("title") == "101.jpg"
    desk.press("w")
    panel = desk.page.get_by_role("complementary", name="Why this image")
    expect(panel.get_by_text("100.jpg")).to_be_visible()
    desk.press("z")
    expect(desk.page.get_by_test_id("large").get_by_text("100.jpg")).to_be_visible()


def test_the_large_picture_is_zoomed_to_the_pixel_and_moved_while_keys_label(open_desk):
    desk = open_desk(size="4000x3000")
    stage = desk.page.get_by_test_id("large").locator(".stage")
    desk.press("z")
    expect(stage).to_be_visible()
    whole = scale(desk)
    assert whole < 40
    stage.hover()
    desk.page.mouse.wheel(0, -300)
    desk.page.wait_for_function("true")
    assert scale(desk) > whole
    while scale(desk) < 100:
        desk.press("+")
    assert scale(desk) == 100  # 1:1 is not stepped over
    before = place(desk)
    desk.press("Shift+ArrowRight")
    assert place(desk)[0] < before[0]
    box = stage.bounding_box()
    desk.page.mouse.move(box["x"] + 50, box["y"] + 50)
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] + 90, box["y"] + 80, steps=3)
    desk.page.mouse.up()
    assert place(desk)[1] > before[1]
    desk.press("+", "+")
    assert scale(desk) == 200
    desk.press("1")
    assert (desk.labels()[0], desk.current(), scale(desk)) == ("cat", 1, whole)
    stage.dblclick()
    assert scale(desk) == 100
    desk.press("Escape")
    expect(stage).to_be_hidden()
    assert desk.current() == 1


def test_one_at_a_time_stays_open_over_batches_and_reloads(open_desk):
    desk = open_desk(size="4000x3000")
    large = desk.page.get_by_test_id("large")
    desk.press("f")
    expect(desk.tiles.first).to_be_hidden()
    desk.press("Shift+ArrowRight", "Control+a", "ArrowLeft")
    for key, number in (("1", 2), ("2", 3), ("s", 4), ("ArrowLeft", 3)):
        desk.press(key)
        expect(large.locator(".file")).to_have_text(
            f"{number} of 6 · {99 + number}.jpg · 4000 × 3000"
        )
    large.get_by_role("button", name="Skipped").click()
    desk.page.get_by_role("option", name="bird").click()
    assert desk.labels() == ["cat", "dog", "bird", "", "", ""]
    desk.press("1", "1", "1")
    expect(large.locator("p")).to_have_text(
        "Everything here is answered: Enter hands the batch in."
    )
    desk.press("2")
    assert desk.labels() == ["cat", "dog", "bird", "cat", "cat", "cat"]
    desk.page.get_by_role("button", name="Next batch").click()
    # That of the batch before may stay beside it for a moment.
    expect(large.get_by_text("6 of 6 ·")).to_have_count(0)
    expect(large.locator(".file")).to_contain_text("1 of 6")
    desk.page.reload()
    large.wait_for()
    desk.press("f")
    expect(desk.tiles.first).to_be_visible()


def test_dark_pictures_are_brightened_while_keys_label(open_desk):
    desk = open_desk()
    shown = "image => getComputedStyle(image).filter"
    first = desk.tiles.locator("img").first
    assert first.evaluate(shown) == "none"
    desk.press("b")
    bright = first.evaluate(shown)
    assert bright.startswith("brightness(1.8)")
    slider = desk.page.get_by_role("slider", name="Brightness")
    slider.click(position={"x": 100, "y": 5})
    assert first.evaluate(shown) != bright
    expect(desk.tiles.first).to_be_focused()
    desk.press("1", "z")
    large = desk.page.get_by_test_id("large").locator("img").last
    assert large.evaluate(shown) == first.evaluate(shown)
    desk.press("b")
    assert first.evaluate(shown) == "none"
    assert desk.labels()[0] == "cat"


def test_up_and_down_lead_to_the_picture_most_nearly_above_or_below(open_desk):
    desk = open_desk(n=20, size="3000x1500")
    columns = desk.page.get_by_role("row").first.get_by_role("gridcell").count()
    desk.press("ArrowRight", "ArrowDown")
    assert desk.current() == 1 + columns
    desk.press("ArrowUp", "ArrowUp")
    assert desk.current() == 1


def test_two_fingers_zoom_the_large_picture_on_a_touch_screen(open_desk):
    desk = open_desk(touch=True, size="4000x3000")
    desk.page.get_by_role("button", name="Enlarge").tap()
    stage = desk.page.get_by_test_id("large").locator(".stage")
    expect(stage).to_be_visible()
    whole, box = scale(desk), stage.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = desk.page.context.new_cdp_session(desk.page)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 100)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert scale(desk) > 3 * whole


def test_a_double_click_on_a_tile_enlarges_it(open_desk):
    desk = open_desk()
    desk.tiles.nth(2).locator(".picture").dblclick()
    expect(desk.page.get_by_test_id("large").locator(".file")).to_contain_text("3 of 6 · 102.jpg")
    assert desk.labels() == [""] * 6
