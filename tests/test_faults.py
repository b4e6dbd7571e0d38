"""The desk on its worst day, in a real browser: whatever happens, no label is lost, and none comes
twice."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from desk import (
    A_ROUND,
    BY_HAND,
    FOR_EVER,
    QUICK,
    Desk,
    batch,
    hand_in,
    label_all,
    label_in_both,
    rows,
    tiles,
    toggle,
)
from faults import Cable, small_disk, unwritable
from playwright.sync_api import BrowserContext, Page, expect
from waiting import until

from tests.servers import APP, free_port

DOZEN = replace(BY_HAND, initial=12)


@pytest.fixture(scope="module")
def served(
    browser: BrowserContext, serve: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cable, Path]]:
    """A server, behind a cable, and where it keeps everything."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    with serve(APP, port=port, env={"AL_HOME": str(home)}):
        cable = Cable(port)
        yield cable, home
        cable.close()


@pytest.fixture
def desk(served: tuple[Cable, Path], browser: BrowserContext) -> Iterator[Desk]:
    cable, home = served
    desk = Desk(browser, cable.url, home)
    yield desk
    desk.close()


def begin(desk: Desk) -> tuple[int, Page]:
    """An experiment of its own; its first of twelve images has a label."""
    number = desk.start(DOZEN)
    page = desk.open(number)
    tiles(page, 12)
    press(page, "1")
    return number, page


# A key that comes while Streamlit still shows that the server was away.
PRESS_AS_IT_COMES_BACK = """() => {
    const state = "data-test-connection-state";
    new MutationObserver((_, watching) => {
        if (document.querySelector(`[${state}]`).getAttribute(state) !== "CONNECTED") return;
        watching.disconnect();
        const key = {key: "5", code: "Digit5", bubbles: true, composed: true};
        document.body.dispatchEvent(new KeyboardEvent("keydown", key));
    }).observe(document.body, {attributes: true, subtree: true, attributeFilter: [state]});
}"""


def press(page: Page, keys: str) -> None:
    """Type labels, and wait until the page says that all so far are saved."""
    before = int(page.get_by_text("of 12 saved").inner_text().split()[0])
    page.keyboard.type(keys)
    expect(page.get_by_text(f"{before + len(keys)} of 12 saved")).to_be_visible(timeout=A_ROUND)


def labels(desk: Desk, experiment: int) -> list[int | None]:
    return [label for (label,) in desk.rows(experiment, "label", "annotations")]


def in_view(page: Page) -> list[str]:
    given = page.get_by_test_id("tile").evaluate_all("all => all.map((tile) => tile.dataset.label)")
    return [label for label in given if label]


def test_labels_typed_while_the_connection_is_cut_are_saved_once(
    desk: Desk, served: tuple[Cable, Path]
) -> None:
    cable, _ = served
    number, page = begin(desk)
    cable.pull()
    page.keyboard.type("23")
    expect(page.get_by_text("Connection error")).to_be_visible(timeout=A_ROUND)  # Streamlit's
    expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=A_ROUND)
    page.keyboard.type("4")
    page.keyboard.press("Space")
    assert in_view(page) == ["1", "2", "3", "4"]
    page.evaluate(PRESS_AS_IT_COMES_BACK)
    cable.plug_in()
    expect(page.get_by_text("6 of 12 saved")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("The server does not answer.")).to_be_hidden()
    assert labels(desk, number) == [1, 2, 3, 4, None, 5]


def test_labels_of_a_batch_that_went_to_somebody_else_meanwhile_are_saved_once(
    desk: Desk, served: tuple[Cable, Path]
) -> None:
    cable, home = served
    number, page = begin(desk)
    image = page.get_by_test_id("tile").first.get_attribute("data-image")
    cable.pull()
    page.keyboard.type("23")
    rows(home, f"UPDATE batches SET handed_in_at = '2026-01-01' WHERE experiment_id = {number}")
    cable.plug_in()
    of_it = page.locator(f'[data-testid=tile][data-image="{image}"]')
    expect(of_it).to_have_count(0, timeout=A_ROUND)  # perhaps the next batch stands there by now
    # Until then the browser would send them again.
    page.wait_for_function("[...deskJournals.values()].every((journal) => journal.isSaved)")
    assert labels(desk, number) == [1, 2, 3]


def test_a_press_in_what_the_server_has_drawn_anew_meanwhile_has_its_effect(
    desk: Desk, served: tuple[Cable, Path]
) -> None:
    cable, _ = served
    number = desk.start_trained()
    page = desk.open(number)
    batch(page, "Round 1")
    desk.set_steps(number, FOR_EVER)
    label_all(page, 6)
    hand_in(page)
    batch(page, "Round 2")
    label_all(page, 6)
    expect(page.get_by_text("Round 1: training. Training:")).to_be_visible(timeout=A_ROUND)
    cable.hold()
    hand_in(page)
    until(lambda: desk.rows(number, "handed_in_at", "batches")[-1] != (None,))
    # The whole page is drawn without the grid, which nobody has seen yet, and the progress again.
    until(lambda: bytes(cable.kept).partition(b"Show the truth")[2].count(b"Training:") > 1)
    page.get_by_role("button", name="Cancel").click()
    cable.let_go()
    expect(page.get_by_text("Training was cancelled")).to_be_visible(timeout=A_ROUND)


def test_a_database_locked_by_another_program_is_told_and_waited_for(desk: Desk) -> None:
    number, page = begin(desk)
    with contextlib.closing(sqlite3.connect(desk.home / "al.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        page.keyboard.type("23")
        expect(page.get_by_text("another program holds it")).to_be_visible(timeout=A_ROUND)
        toggle(page, "Show the model's guesses")
        sidebar = page.get_by_test_id("stSidebar")
        expect(sidebar).to_contain_text("another program holds it", timeout=A_ROUND)
        page.keyboard.type("4")
        assert in_view(page) == ["1", "2", "3", "4"]
        other.rollback()
    expect(page.get_by_text("4 of 12 saved")).to_be_visible(timeout=A_ROUND)
    assert labels(desk, number) == [1, 2, 3, 4]


def test_a_database_that_becomes_read_only_is_told_and_waited_for(desk: Desk) -> None:
    number, page = begin(desk)
    with unwritable([desk.home / "al.db", desk.home / "al.db-wal"]):
        page.keyboard.type("23")
        expect(page.get_by_text("Not saved yet: The database cannot be")).to_be_visible(
            timeout=A_ROUND
        )
        assert in_view(page) == ["1", "2", "3"]
    expect(page.get_by_text("3 of 12 saved")).to_be_visible(timeout=A_ROUND)
    assert labels(desk, number) == [1, 2, 3]


def test_a_database_that_disappears_is_told_and_its_labels_are_saved_when_it_is_back(
    desk: Desk,
) -> None:
    number, page = begin(desk)
    database, elsewhere = desk.home / "al.db", desk.home / "elsewhere.db"
    database.rename(elsewhere)
    page.keyboard.type("23")
    expect(page.get_by_text("has disappeared; bring the file back")).to_be_visible(timeout=A_ROUND)
    assert in_view(page) == ["1", "2", "3"]
    # Whatever draws the whole page finds nothing to draw; the labels are kept all the same.
    toggle(page, "Show the truth")
    expect(page.get_by_text("2 answers are not saved yet")).to_be_visible(timeout=A_ROUND)
    assert not database.exists()
    elsewhere.rename(database)
    expect(page.get_by_text("3 of 12 saved")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("not saved yet")).to_be_hidden()
    assert labels(desk, number) == [1, 2, 3]


def test_two_servers_on_one_folder_label_and_train_an_experiment_together(
    desk: Desk, browser: BrowserContext, serve: Callable
) -> None:
    number = desk.start_trained(replace(QUICK, label_while_training=False))
    with serve(APP, env={"AL_HOME": str(desk.home)}) as url:
        second = Desk(browser, url, desk.home)
        pages = [desk.open(number), second.open(number)]
        asked = label_in_both(pages, "2 of 2")
        second.close()
    labeled = desk.rows(number, "round, labeled", "rounds")
    assert labeled == [(0, 12), (1, 24)]
    assert sorted(desk.rows(number, "image", "annotations")[12:]) == sorted(
        (int(i),) for i in asked
    )
    assert not list((desk.home / "weights" / str(number)).glob("*.part"))


def test_a_full_disk_is_told_and_the_labels_are_saved_when_there_is_room(
    browser: BrowserContext, serve: Callable, tmp_path: Path
) -> None:
    with (
        small_disk(tmp_path / "disk") as home,
        serve(APP, env={"AL_HOME": str(home)}) as url,
    ):
        desk = Desk(browser, url, home)
        number, page = begin(desk)
        with (home / "film.mp4").open("wb", buffering=0) as film, contextlib.suppress(OSError):
            while True:
                film.write(bytes(4096))
        page.keyboard.type("2345678901")
        expect(page.get_by_text("full; make room on the disk")).to_be_visible(timeout=A_ROUND)
        assert in_view(page) == list("12345678901")
        (home / "film.mp4").unlink()
        expect(page.get_by_text("11 of 12 saved")).to_be_visible(timeout=A_ROUND)
        expect(page.get_by_text("make room on the disk")).to_be_hidden()
        assert labels(desk, number) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
        desk.close()
