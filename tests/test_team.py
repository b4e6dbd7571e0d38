"""The desk in a real browser with more than one tab, person or opinion."""

from dataclasses import replace

from desk import A_ROUND, BY_HAND, QUICK, Desk, batch, hand_in, images, label_all, tiles, toggle
from playwright.sync_api import expect
from tabs import choose
from waiting import until

from al_core.store.records import Annotation


def test_two_tabs_label_different_images_the_last_one_closes_the_round_and_the_silent_are_left(
    desk: Desk,
) -> None:
    number = desk.start_trained(replace(QUICK, rounds=3, label_while_training=False))
    page = desk.open(number)
    batch(page, "Round 1")
    other = desk.open(number)
    batch(other, "Round 1")
    assert not set(images(page)) & set(images(other))
    label_all(page, 6)
    hand_in(page)
    expect(page.get_by_text("Round 1 waits for what others still label: 0 of 6")).to_be_visible()
    label_all(other, 6)
    expect(page.get_by_text("others still label: 6 of 6")).to_be_visible()
    hand_in(other)
    batch(page, "Round 2")
    batch(other, "Round 2")
    assert not set(images(page)) & set(images(other))
    assert desk.rows(number, "labeled", "rounds") == [(12,), (24,)]

    other.keyboard.press("1")
    expect(other.get_by_text("1 of 6 saved")).to_be_visible()
    label_all(page, 6)
    hand_in(page)
    page.get_by_role("button", name="Go on without them").click()
    batch(page, "Round 3")
    other.keyboard.press("2")  # late, and not lost
    batch(other, "Round 3")
    assert desk.rows(number, "labeled", "rounds") == [(12,), (24,), (31,)]
    assert desk.rows(number, "label, annotator", "annotations")[24:].count((2, "me")) == 2


def test_a_setting_changed_in_one_tab_is_that_of_all_and_a_closed_tab_leaves_its_batch(
    desk: Desk,
) -> None:
    number = desk.start(BY_HAND)
    page, other = desk.open(number), desk.open(number)
    first = images(page)
    tiles(other, 6)
    toggle(page, "Show the model's guesses")
    # The browser shows it at once; the other tab reads what is saved.
    until(lambda: desk.store.experiment(number).config["show_guesses"])
    toggle(other, "Label while a round trains")
    expect(other.get_by_role("switch", name="Show the model's guesses")).to_be_checked()
    config = desk.store.experiment(number).config
    assert (config["show_guesses"], config["label_while_training"]) == (True, False)

    page.keyboard.press("5")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    until(lambda: desk.sessions() == 2)
    page.goto("about:blank")
    until(lambda: desk.sessions() == 1)
    next_one = desk.open(number)
    assert images(next_one) == first
    expect(next_one.get_by_test_id("tile").first).to_have_attribute("data-label", "5")
    expect(next_one.get_by_test_id("tile").nth(1)).to_be_focused()  # the first that is open


def test_a_browser_remembers_its_annotator_who_is_told_what_has_happened_since(desk: Desk) -> None:
    name = "Zoë; <b>“x”</b> %41"
    number = desk.start(BY_HAND)
    (asked,) = desk.store.batches(number)
    one, other = sorted(set(range(8)).difference(asked.images))[:2]
    desk.store.append(number, [Annotation(one, 1, 0, "me"), Annotation(other, 1, 0, "*ana*")])
    page = desk.open(number)
    told = "Your last label was a moment ago. Since then: *ana* answered 1."
    expect(page.get_by_text(told)).to_be_visible(timeout=A_ROUND)
    tiles(page, 6)
    page.get_by_role("textbox", name="Your name").fill(name)
    page.get_by_role("textbox", name="Your name").press("Enter")
    page.wait_for_function("document.cookie.includes('annotator')")
    page.reload()
    tiles(page, 6)
    expect(page.get_by_role("textbox", name="Your name")).to_have_value(name)
    page.keyboard.press("1")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    assert desk.rows(number, "annotator", "annotations")[2:] == [(name,)]


def test_a_review_shows_the_most_suspicious_first_and_one_key_relabels(desk: Desk) -> None:
    number = desk.start_trained()
    page = desk.open(number)
    batch(page, "Round 1")
    page.get_by_text("Review", exact=True).click()
    expect(page.get_by_text("12 images, the most suspicious first")).to_be_visible()
    image = int(images(page, 12)[0])
    before = page.get_by_test_id("tile").first.get_attribute("data-label")
    after = str((int(before) + 1) % 10)
    page.keyboard.press(after)
    expect(page.get_by_test_id("tile").nth(1)).to_be_focused()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    log = [label for i, label in desk.rows(number, "image, label", "annotations") if i == image]
    assert log == [int(before), int(after)]
    page.keyboard.press("u")
    page.keyboard.press(after)
    page.wait_for_function("document.activeElement !== document.body")

    page.get_by_role("button", name="Look again").click()
    choose(page, "Annotator", "me")
    expect(page.get_by_text("1 image, the most suspicious first")).to_be_visible()
    assert images(page, 1) == [str(image)]
    expect(page.get_by_test_id("tile").first).to_have_attribute("data-label", after)
    page.get_by_text("Label", exact=True).click()
    batch(page, "Round 1")


def test_a_second_opinion_is_given_blind_and_compared(desk: Desk) -> None:
    number = desk.start_trained()
    page = desk.open(number, "&view=Review")
    tiles(page, 12)
    toggle(page, "Second opinion")
    expect(page.get_by_text("0 of 12 labelled")).to_be_visible()
    page.keyboard.press("1")
    expect(page.get_by_text("1 of 12 labelled")).to_be_visible()
    expect(page.get_by_role("heading", name="Agreement")).to_be_visible()
    page.keyboard.press("s")
    page.keyboard.press("Home")
    page.keyboard.press("Backspace")
    expect(page.get_by_text("0 of 12 labelled", exact=True)).to_be_visible()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    # What others said stands.
    assert desk.rows(number, "annotator, label IS NULL, undoes", "annotations")[12:] == [
        ("me", 0, 0),
        ("me", 0, 1),
    ]
