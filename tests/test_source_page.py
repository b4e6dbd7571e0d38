"""A folder that changes while its images are labelled, in the real page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from tabs import leave, tab
from tiny import folder_of, loaded, picture

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.store.records import CHANGED, HERE
from al_core.store.store import Store
from tests.servers import serving

NAMES = [f"{i:02}.png" for i in range(30)]
WAITS = 60_000  # milliseconds


@pytest.fixture(scope="module")
def desk(browser: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """An experiment on thirty pictures in a folder; its first batch is open."""
    home = tmp_path_factory.mktemp("home")
    folder = folder_of(home / "pictures", *NAMES)
    settings = ExperimentConfig(
        str(folder), class_names=("cat", "dog"), initial=4, initial_labels="person",
        per_round=2, rounds=2, image_size=8, held_out_share=0.0, random_baseline=False,
        train=TrainConfig(epochs=1, min_steps=2, batch_size=4),
    )  # fmt: skip
    store = Store(f"sqlite:///{home / 'al.db'}")
    start_experiment(store, "mine", settings, loaded(folder, home / "cache"))
    with serving(home) as server:
        page = tab(browser)
        page.goto(f"{server.url}/?experiment=1")
        page.home, page.store = home, store
        yield page
        leave(page)


def opened(page: Page, words: str) -> Locator:
    """What lies behind a few words above the batch."""
    page.get_by_role("button", name=words).click()
    return page.get_by_test_id("stPopoverBody")


def look_again(page: Page) -> None:
    page.get_by_role("button", name="Look for new images").click()


def test_the_page_says_what_came_and_what_went_and_the_open_batch_goes_on(desk: Page) -> None:
    folder, page = desk.home / "pictures", desk
    tiles = page.get_by_test_id("tile")
    expect(tiles).to_have_count(4, timeout=WAITS)
    asked = [int(tile.get_attribute("data-image")) for tile in tiles.all()]
    folder_of(folder, "bird/1.png", "fish/1.png")  # of other shades, below
    for shade in range(12):
        beside = {0: "bird/1.png", 1: "fish/1.png"}.get(shade, f"new {shade}.png")
        picture(100 + shade).save(folder / beside)
    (folder / NAMES[asked[0]]).unlink()
    look_again(page)
    expect(page.get_by_text("12 new, 1 missing: show")).to_be_visible(timeout=WAITS)
    listed = opened(page, "12 new, 1 missing: show")
    expect(listed.get_by_text("new 11.png")).to_be_visible()
    expect(listed.get_by_text("Missing (not in the folder any more)")).to_be_visible()
    others = "Images of what is no class of this experiment: “bird” (1), “fish” (1)."
    expect(listed.get_by_text(others)).to_be_visible()
    without = "Not in the folder any more: 1. No batch asks about them until they are back."
    expect(listed.get_by_text(without)).to_be_visible()
    page.keyboard.press("Escape")
    expect(listed).to_have_count(0)
    look_again(page)
    expect(page.get_by_text("Nothing has changed in the folder.")).to_be_visible(timeout=WAITS)
    expect(page.get_by_text("12 new, 1 missing: show")).to_be_visible(timeout=WAITS)
    expect(page.get_by_text("41", exact=True)).to_be_visible()  # unlabelled
    assert [int(tile.get_attribute("data-image")) for tile in tiles.all()] == asked


def test_the_news_take_one_line_and_what_is_closed_gives_the_keys_back_to_the_grid(
    desk: Page,
) -> None:
    page = desk
    tiles, words = page.get_by_test_id("tile"), page.get_by_text("12 new, 1 missing: show")
    line = page.get_by_role("button", name="12 new, 1 missing: show")
    look = page.get_by_role("button", name="Look for new images")
    assert line.bounding_box()["height"] <= 50
    assert line.bounding_box()["y"] == look.bounding_box()["y"]
    page.evaluate("async () => { await document.fonts.ready; }")  # what is written takes its room
    body = page.get_by_test_id("stPopoverBody")
    asked = [int(tile.get_attribute("data-image")) for tile in tiles.all()]
    for number, (key, close) in enumerate((
        ("1", lambda: page.keyboard.press("Escape")),
        ("2", words.click),
        ("1", lambda: page.get_by_role("heading", name="mine").click()),
    )):  # fmt: skip
        top = tiles.first.bounding_box()["y"]
        words.click()
        expect(body.get_by_text("new 11.png")).to_be_visible()
        assert tiles.first.bounding_box()["y"] == top  # nothing below has moved
        page.keyboard.press("1")  # what lies over the grid keeps its keys from it
        close()
        expect(body).to_have_count(0)
        expect(page.get_by_text(f"{number} of 4 labelled")).to_be_visible()
        expect(tiles.nth(number)).to_be_focused()
        page.keyboard.press(key)
    page.keyboard.press("2")
    expect(page.get_by_text("4 of 4 saved")).to_be_visible(timeout=WAITS)
    answers = open_experiment(desk.store, 1).pool.answers
    assert [answers[image].label for image in asked] == [0, 1, 0, 1]


def test_who_opens_the_news_by_a_key_is_in_them_and_then_where_they_were(desk: Page) -> None:
    page = desk
    line = page.get_by_role("button", name="12 new, 1 missing: show")
    body = page.get_by_test_id("stPopoverBody")
    line.focus()
    page.keyboard.press("Enter")
    expect(body.get_by_text("new 11.png")).to_be_visible()
    expect(body).to_be_focused()
    colours = "b => [b, b.parentElement].map((one) => getComputedStyle(one).color)"
    of_button, of_text = line.evaluate(colours)
    assert of_button == of_text  # Streamlit's own, a dark blue, cannot be read in its dark theme
    # Streamlit opens again what is closed while the page is drawn that its opening asked for.
    drawn = page.locator("[data-test-script-state=notRunning]")
    expect(drawn).to_be_visible()
    page.keyboard.press("Escape")
    expect(body).to_have_count(0)
    expect(line).to_be_focused()
    page.keyboard.press("Enter")
    expect(line).to_have_attribute("aria-expanded", "true")
    assert desk.store.batches(1)[0].handed_in_at is None
    page.reload()
    expect(page.get_by_test_id("tile")).to_have_count(4, timeout=WAITS)


@pytest.mark.parametrize(
    ("answer", "size", "by_keys"), [("The same picture", 42, False), ("Another picture", 43, True)]
)
def test_the_page_asks_where_a_file_shows_another_picture(
    desk: Page, answer: str, size: int, by_keys: bool
) -> None:
    page = desk
    experiment = open_experiment(desk.store, 1)
    away = experiment.away
    image = next(i for i in sorted(experiment.pool.answers) if i not in away)
    picture(50 + size).save(desk.home / "pictures" / experiment.manifest.pool[image].key)
    look_again(page)
    asks = page.get_by_role("button", name="1 picture changed: answer")
    expect(asks).to_be_visible(timeout=WAITS)
    asks.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Files that show another picture than before: 1.")).to_be_visible()
    assert open_experiment(desk.store, 1).manifest.pool[image].state == CHANGED
    walls = page.locator("figure")
    expect(walls).to_have_count(2)
    if by_keys:
        page.get_by_role("button", name=answer).focus()
        page.keyboard.press("Space")
    else:
        page.get_by_role("button", name=answer).click()
    expect(asks).to_have_count(0, timeout=WAITS)
    expect(page.get_by_text("Files that show another picture")).to_have_count(0)
    experiment = open_experiment(desk.store, 1)
    assert experiment.pool_size == size
    assert (experiment.manifest.pool[image].state == HERE) == (answer == "The same picture")


def test_several_questions_are_answered_without_opening_them_again(desk: Page) -> None:
    page = desk
    experiment = open_experiment(desk.store, 1)
    images = [i for i in range(30) if i not in experiment.away][-4:]
    for i in images:
        picture(200 + i).save(desk.home / "pictures" / experiment.manifest.pool[i].key)
    look_again(page)
    page.get_by_role("button", name="4 pictures changed: answer").focus()
    body = page.get_by_test_id("stPopoverBody")
    page.keyboard.press("Enter")
    expect(body).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="All are the same")).to_be_focused()
    same = page.get_by_role("button", name="The same picture")
    for left in (4, 3, 2, 1):
        expect(body.get_by_text(f"another picture than before: {left}.")).to_be_visible()
        expect(same).to_have_count(left)
        if left % 2:
            same.first.focus()
            page.keyboard.press("Enter")
        else:
            same.first.click()
        if left > 1:
            expect(body.get_by_text(f"another picture than before: {left - 1}.")).to_be_visible()
            expect(body).to_be_focused()
    expect(body).to_have_count(0)
    assert not open_experiment(desk.store, 1).manifest.asked
    page.keyboard.press("ArrowRight")  # the keys are the grid's again
    expect(page.get_by_test_id("tile").nth(1)).to_be_focused()


def test_what_has_changed_is_told_until_somebody_has_looked_at_it(desk: Page) -> None:
    page, body = desk, desk.get_by_test_id("stPopoverBody")
    picture(90).save(desk.home / "pictures" / "late.png")
    look_again(page)
    expect(page.get_by_text("14 new")).to_be_visible(timeout=WAITS)
    page.get_by_role("button", name="Hand in batch").click()
    expect(page.get_by_text("1 of 2", exact=True)).to_be_visible(timeout=WAITS)
    page.reload()
    # Twelve were looked at before the round was trained.
    listed = opened(page, "2 new, 4 rewritten")
    expect(listed.get_by_text("late.png")).to_be_visible()
    expect(page.locator("[data-test-script-state=notRunning]")).to_be_visible()
    page.get_by_role("heading", name="mine").click()
    expect(body).to_have_count(0)
    expect(page.get_by_role("button", name="2 of other classes, 1 missing: show")).to_be_visible(
        timeout=WAITS
    )


def test_a_folder_that_moved_gets_its_new_path_in_the_page(desk: Page) -> None:
    page, there = desk, desk.home / "elsewhere"
    (desk.home / "pictures").rename(there)
    look_again(page)
    expect(page.get_by_role("textbox", name="New path")).to_be_visible(timeout=WAITS)
    others = folder_of(desk.home / "others", "1.png", "2.png", "3.png")
    refused = "at least half must be: nothing was changed"
    count = len([*there.iterdir()])
    for where, says in ((others, refused), (there, f"{count} of its {count} images were found")):
        page.get_by_role("textbox", name="New path").fill(str(where))
        page.get_by_role("textbox", name="New path").press("Enter")
        page.get_by_role("button", name="Look there").click()
        expect(page.get_by_text(says).first).to_be_visible(timeout=WAITS)
    expect(page.get_by_test_id("tile").first).to_be_visible(timeout=WAITS)
    assert open_experiment(desk.store, 1).config.data == str(there)
