"""The notice of answers that wait in the browser, on a page that has lost their grid."""

from pathlib import Path

from playwright.sync_api import BrowserContext, expect
from tabs import leave, tab

# A page that draws no batch once this one is handed in, as while the images are read.
SCRIPT = """
import streamlit as st
from al_desk.grid.events import HAND_IN
from al_desk.grid.label_grid import Frame, GridStatus, label_grid
from al_desk.labelling.answers import warn_of_unsaved_answers

def save(events):
    st.session_state.handed_in = any(event.act == HAND_IN for event in events)

if not st.session_state.get("handed_in"):
    pictures, names = [("0", 32, 32)], ["a", "b"]
    frame = Frame("grid-1-batch-1", [7], "/nowhere/", pictures, names, range(2))
    label_grid(frame, GridStatus([None]), save)
else:
    st.write("Reading the images")
    warn_of_unsaved_answers()
"""
ALL_SAVED = "[...globalThis.labelGridJournals.values()].every((journal) => journal.isSaved)"


def test_what_is_saved_is_not_said_to_wait_where_its_grid_left_with_the_hand_in(
    browser: BrowserContext, serve, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with serve(script) as url:
        page = tab(browser)
        page.goto(url)
        tile = page.get_by_test_id("tile")
        expect(tile).to_be_focused()
        page.keyboard.press("0")
        expect(tile).to_have_attribute("data-label", "a")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Reading the images")).to_be_visible()
        page.wait_for_function(ALL_SAVED, timeout=60_000)
        expect(page.get_by_role("alert")).to_have_count(0)
        leave(page)
