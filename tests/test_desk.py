"""The labelling desk in a real browser: alone, together, ahead of the training, afterwards."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from desk import A_ROUND, APP, QUICK, batch, hand_in, images, label_all, prepared, rows, tiles
from playwright.sync_api import Browser, Page, expect

from al_core.config import ExperimentConfig
from al_core.pool import Annotation
from al_core.store import Store

FOR_EVER = 100_000  # optimiser steps
BY_HAND = replace(QUICK, initial=6, initial_labels="person")


class Desk:
    """One server for all tests of this file; each has experiments of its own."""

    def __init__(self, browser: Browser, url: str, home: Path) -> None:
        self.home = home
        self.store = Store(f"sqlite:///{home / 'al.db'}")
        self._browser, self._url = browser, url
        self._pages: list[Page] = []

    def start(self, config: ExperimentConfig = QUICK) -> int:
        return prepared(self.home, f"quick {len(self.store.experiments())}", config)

    def open(self, experiment: int, more: str = "") -> Page:
        """Another tab on an experiment."""
        page = self._browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{self._url}/?experiment={experiment}{more}")
        self._pages.append(page)
        return page

    def close(self) -> None:
        while self._pages:
            self._pages.pop().close()

    def set_steps(self, experiment: int, steps: int) -> None:
        """Let the next training take that many steps."""
        config = ExperimentConfig.from_json(self.store.experiment(experiment).config)
        train = replace(config.train, min_steps=steps)
        self.store.set_config(experiment, replace(config, train=train).to_json())

    def rows(self, experiment: int, columns: str, table: str) -> list[tuple]:
        query = f"SELECT {columns} FROM {table} WHERE experiment_id = {experiment} ORDER BY id"
        return rows(self.home, query)


@pytest.fixture(scope="module")
def server(browser: Browser, serve: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    home = tmp_path_factory.mktemp("desk")
    with serve(APP, env={"AL_HOME": str(home)}) as url:
        yield Desk(browser, url, home)


@pytest.fixture
def desk(server: Desk) -> Iterator[Desk]:
    yield server
    server.close()


def toggle(page: Page, label: str) -> None:
    page.get_by_test_id("stCheckbox").filter(has_text=label).locator("label").click()


def test_undo_goes_back_across_batches_rounds_and_reloads(desk: Desk) -> None:
    number = desk.start()
    page = desk.open(number)
    batch(page, "Round 1")
    first = images(page)
    label_all(page, 6)
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    page.keyboard.press("7")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    expect(page.get_by_text("2 of 2")).to_be_visible(timeout=A_ROUND)  # round 1 is trained
    page.reload()
    expect(page.get_by_text("1 of 6 saved")).to_be_visible(timeout=A_ROUND)
    page.keyboard.press("u")
    expect(page.get_by_text("0 of 6 saved")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
    expect(page.get_by_text("5 of 6 saved")).to_be_visible()
    assert images(page) == first
    expect(page.get_by_test_id("tile").nth(5)).to_be_focused()
    page.keyboard.press("9")
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    assert desk.rows(number, "image, label", "annotations")[-1] == (int(first[5]), 9)


def test_an_undo_right_after_the_hand_in_stops_the_training_for_it(desk: Desk) -> None:
    number = desk.start()
    page = desk.open(number)
    batch(page, "Round 1")
    desk.set_steps(number, FOR_EVER)
    label_all(page, 6)
    page.keyboard.press("Enter")
    training = page.get_by_text("Round 1: training. Training:")
    expect(training).to_be_visible(timeout=A_ROUND)
    batch(page, "Round 2")
    page.keyboard.press("u")
    expect(page.get_by_text("5 of 6 saved")).to_be_visible()
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
    expect(training).to_have_count(0)
    page.keyboard.press("9")
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    desk.set_steps(number, 4)
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    expect(page.get_by_text("2 of 2")).to_be_visible(timeout=A_ROUND)
    assert desk.rows(number, "label", "annotations")[-1] == (9,)


def test_the_record_says_how_often_person_and_model_disagree_and_how_long_a_label_took(
    desk: Desk,
) -> None:
    number = desk.start()
    page = desk.open(number)
    batch(page, "Round 1")
    grid = page.get_by_test_id("label-grid")
    expect(grid.get_by_text(re.compile(r"\d%"))).to_have_count(0)  # blind first
    page.wait_for_timeout(300)
    label_all(page, 6)
    marks = grid.get_by_text(re.compile(r"^≠ \d · \d+%$")).count()
    hand_in(page)
    batch(page, "Round 2")
    toggle(page, "Show the model's guesses")
    expect(grid.get_by_text(re.compile(r"^\d · \d+%$"))).to_have_count(6)
    label_all(page, 6)
    hand_in(page)
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    page.get_by_role("tab", name="Rounds").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    records = desk.rows(number, "compared, disagreed, guesses_shown", "rounds")
    assert records[:2] == [(0, 0, 0), (6, marks, 0)]
    assert (records[2][0], records[2][2]) == (6, 1)
    times = desk.rows(number, "milliseconds", "annotations")[12:]
    assert max(times)[0] >= 300


def test_why_this_image_names_classes_only_once_there_is_a_label(desk: Desk) -> None:
    number = desk.start()
    page = desk.open(number)
    batch(page, "Round 1")
    page.keyboard.press("w")
    panel = page.get_by_role("complementary", name="Why this image")
    of = "rank 1 of 1,426 unlabelled images, by the model of round 0"
    expect(panel).to_contain_text(of)
    expect(panel).to_contain_text("Shown once the image has a label.")
    expect(panel.locator("figure")).to_have_count(5)
    expect(panel.locator("figcaption").first).to_have_text(re.compile(r"^\d$"))
    page.keyboard.press("3")
    expect(panel).to_contain_text("rank 2 of 1,426")
    page.keyboard.press("ArrowLeft")
    expect(panel.locator(".prob")).to_have_count(3)


def test_a_person_labels_on_while_a_round_trains(desk: Desk) -> None:
    number = desk.start()
    page = desk.open(number)
    batch(page, "Round 1")
    desk.set_steps(number, FOR_EVER)
    first = images(page)
    label_all(page, 6)
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    assert not set(first) & set(images(page))
    expect(page.get_by_text("Round 1: training. Training:")).to_be_visible(timeout=A_ROUND)
    label_all(page, 6)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("tile")).to_have_count(0)
    expect(page.get_by_role("heading", name="Round 1: training")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    desk.set_steps(number, 4)
    page.get_by_role("button", name="Start round 1 again").click(timeout=A_ROUND)
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    assert desk.rows(number, "round, model", "batches") == [
        (1, 0), (2, 0), (3, 2)
    ]  # fmt: skip
    assert desk.rows(number, "labeled", "rounds") == [(12,), (18,), (24,)]


def test_the_end_of_a_training_leaves_the_hand_of_whoever_labels_alone(desk: Desk) -> None:
    number = desk.start()
    page = desk.open(number)
    batch(page, "Round 1")
    label_all(page, 6)
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    page.keyboard.press("4")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("2 of 2")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_test_id("tile").first).to_have_attribute("data-label", "4")
    expect(page.get_by_test_id("tile").nth(2)).to_be_focused()


def test_two_tabs_label_different_images_and_the_last_one_closes_the_round(desk: Desk) -> None:
    number = desk.start(replace(QUICK, label_while_training=False))
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


def test_a_closed_tab_leaves_its_batch_to_whoever_comes_next(desk: Desk) -> None:
    number = desk.start(BY_HAND)
    page = desk.open(number)
    first = images(page)
    page.keyboard.press("5")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    page.goto("about:blank")
    page.wait_for_timeout(500)
    other = desk.open(number)
    assert images(other) == first
    expect(other.get_by_test_id("tile").first).to_have_attribute("data-label", "5")
    expect(other.get_by_test_id("tile").nth(1)).to_be_focused()  # the first that is open


def test_a_round_goes_on_without_somebody_who_is_silent(desk: Desk) -> None:
    number = desk.start(replace(QUICK, label_while_training=False))
    page = desk.open(number)
    batch(page, "Round 1")
    other = desk.open(number)
    batch(other, "Round 1")
    other.keyboard.press("1")
    expect(other.get_by_text("1 of 6 saved")).to_be_visible()
    label_all(page, 6)
    hand_in(page)
    page.get_by_role("button", name="Go on without them").click()
    batch(page, "Round 2")
    other.keyboard.press("2")  # late, and not lost
    batch(other, "Round 2")
    assert desk.rows(number, "labeled", "rounds") == [(12,), (19,)]
    assert desk.rows(number, "label, annotator", "annotations").count((2, "me")) == 2


def test_a_browser_remembers_its_annotator(desk: Desk) -> None:
    name = "Zoë; <b>“x”</b> %41"
    number = desk.start(BY_HAND)
    page = desk.open(number)
    tiles(page, 6)
    page.get_by_role("textbox", name="Your name").fill(name)
    page.get_by_role("textbox", name="Your name").press("Enter")
    page.wait_for_function("document.cookie.includes('annotator')")
    page.reload()
    tiles(page, 6)
    expect(page.get_by_role("textbox", name="Your name")).to_have_value(name)
    page.keyboard.press("1")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    assert desk.rows(number, "annotator", "annotations") == [(name,)]


def test_whoever_comes_back_is_told_what_has_happened_since(desk: Desk) -> None:
    number = desk.start(BY_HAND)
    desk.store.append(number, [Annotation(0, 1, 0, "me"), Annotation(1, 1, 0, "*ana*")])
    page = desk.open(number)
    told = "Your last label was a moment ago. Since then: *ana* answered 1."
    expect(page.get_by_text(told)).to_be_visible(timeout=A_ROUND)


def test_a_review_shows_the_most_suspicious_first_and_one_key_relabels(desk: Desk) -> None:
    number = desk.start()
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
    page.get_by_role("combobox", name="Annotator").click()
    page.get_by_role("option", name="me").click()
    expect(page.get_by_text("1 image, the most suspicious first")).to_be_visible()
    assert images(page, 1) == [str(image)]
    expect(page.get_by_test_id("tile").first).to_have_attribute("data-label", after)
    page.get_by_text("Label", exact=True).click()
    batch(page, "Round 1")


def test_a_second_opinion_is_given_blind_and_compared(desk: Desk) -> None:
    number = desk.start()
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
    expect(page.get_by_text("0 of 12 labelled, 1 skipped")).to_be_visible()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    # What others said stands.
    assert desk.rows(number, "annotator, label IS NULL, undoes", "annotations")[12:] == [
        ("me", 0, 0),
        ("me", 0, 1),
    ]


def test_labels_and_images_are_taken_away_and_labels_brought_in(desk: Desk) -> None:
    number = desk.start()
    page = desk.open(number)
    batch(page, "Round 1")
    for name, suffix in (("Images by class", "zip"), ("Hugging Face parquet", "parquet")):
        page.get_by_role("button", name=name, exact=False).click()
        with page.expect_download() as download:
            page.get_by_role("button", name=re.compile(f"Download {name}", re.I)).click()
        content = download.value.path().read_bytes()
        assert download.value.suggested_filename.endswith(f".{suffix}")
        if suffix == "zip":
            names = zipfile.ZipFile(io.BytesIO(content)).namelist()
            assert len(names) == 12
            assert all(re.fullmatch(r"\d/\d+\.png", name) for name in names)
        else:
            assert content[:4] == b"PAR1"

    page.get_by_role("button", name="Import labels").click()
    chooser = page.locator("input[type=file]")
    taken = desk.rows(number, "key", "annotations")[0][0]
    for text, answer in (
        (f"key,class_name\n{taken},4\nnobody,4\n", "Rows that cannot be matched: 1"),
        ("a,b,c\n1,2,3\n", "needs the columns"),
    ):
        chooser.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": text.encode()})
        expect(page.get_by_text(answer)).to_be_visible()
    text = f"key,class_name\n{taken},4\n"
    chooser.set_input_files({"name": "b.csv", "mimeType": "text/csv", "buffer": text.encode()})
    page.get_by_role("button", name="Import 1 labels").click()
    expect(page.get_by_text(re.compile("labels imported"))).to_be_visible()
    assert desk.rows(number, "key, label", "annotations")[-1] == (taken, 4)


def test_the_last_hand_in_can_be_undone_where_there_is_no_grid(desk: Desk) -> None:
    number = desk.start(replace(QUICK, rounds=1))
    page = desk.open(number)
    batch(page, "Round 1")
    label_all(page, 6)
    page.keyboard.press("Enter")
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    page.get_by_role("button", name="Undo the last label").click()
    expect(page.get_by_text("5 of 6 saved")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("All rounds are done")).to_be_visible()


def test_a_setting_changed_in_one_tab_is_the_setting_of_all(desk: Desk) -> None:
    number = desk.start(BY_HAND)
    page, other = desk.open(number), desk.open(number)
    tiles(page, 6)
    tiles(other, 6)
    toggle(page, "Show the model's guesses")
    expect(page.get_by_role("switch", name="Show the model's guesses")).to_be_checked()
    toggle(other, "Label while a round trains")
    expect(other.get_by_role("switch", name="Show the model's guesses")).to_be_checked()
    config = desk.store.experiment(number).config
    assert (config["show_guesses"], config["label_while_training"]) == (True, False)


def test_undo_typed_quickly_across_a_reload_takes_back_one_act_a_press(desk: Desk) -> None:
    number = desk.start(BY_HAND)
    page = desk.open(number)
    tiles(page, 6)
    page.keyboard.press("1")
    page.keyboard.press("2")
    expect(page.get_by_text("2 of 6 saved")).to_be_visible()
    page.reload()
    expect(page.get_by_text("2 of 6 saved")).to_be_visible()
    page.keyboard.press("3")
    press = """() => { for (let i = 0; i < 3; i++) document.body.dispatchEvent(
        new KeyboardEvent("keydown", {key: "u", bubbles: true, composed: true})); }"""
    page.evaluate(press)
    expect(page.get_by_text("0 of 6 saved")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("There is nothing to undo.")).to_be_visible()
    assert desk.rows(number, "undoes", "annotations") == [(0,)] * 3 + [(1,)] * 3
