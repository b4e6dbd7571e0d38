"""A page with the labelling grid on it, and the log of what reached Python."""

import json
from pathlib import Path

from tabs import leave, tab
from waiting import until

# Images 100, 101, ... of one batch; every event is appended to a log, one JSON list a line.
SCRIPT = """
import json
import time
from pathlib import Path
import streamlit as st
from al_core.errors import StoreError
from al_desk.grid.label_grid import Frame, GridStatus, label_grid
from al_desk.widgets.buttons import pressed

# A page of one file: the pictures come from nowhere.
query = st.query_params
log = Path(query["log"])
names = json.loads(query.get("classes", '["cat", "dog", "bird"]'))
batch = int(query.get("batch", 1)) + st.session_state.get("next", 0)
pictures = [(str(i), 32, 32) for i in range(int(query.get("n", 6)))]
stored = {100: 2} if st.checkbox("Stored") else {}

def store(events):
    if query.get("fail") and not st.session_state.get("repaired"):
        raise StoreError("The disk is full.")
    time.sleep(float(query.get("slow", 0)))
    with log.open("a") as lines:
        for event in events:
            print(json.dumps([event.event_id, event.image, event.act]), file=lines)

@st.fragment
def desk(images, guesses):
    status = GridStatus(
        [stored.get(image) for image in images], review=bool(query.get("review")),
        show_guesses=bool(query.get("guesses")),
    )
    label_grid(
        Frame(f"label-grid-{batch}", images, "/nowhere/", pictures, names, range(len(names)),
              guesses), status, store,
        lambda image: {
            "image": image, "chosen": f"rank {image}", "top": None, "hidden": "Hidden.",
            "near": [1], "pictures": pictures[:1],
        },
    )
    if st.button("Repair"):
        st.session_state.repaired = True

images = [100 + i for i in range(len(pictures))]
desk(images, dict.fromkeys(images, (1, 0.61)) if query.get("guess") else {})
st.text_input("Note")
if pressed("Count"):
    st.write(f"counted {len(log.read_text().splitlines())}")
if st.button("Next batch"):
    st.session_state.next = 1
    st.rerun()
"""


class Grid:
    """A page with the grid on it, and the log of what reached Python."""

    def __init__(self, browser, url: str, log: Path, touch: bool = False, **query) -> None:
        self.log, self._is_phone = log, touch
        log.touch()
        phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
        self.page = browser.browser.new_page(**phone) if touch else tab(browser)
        self.page.set_default_timeout(60_000)
        self.errors: list[Exception] = []
        self.page.on("pageerror", self._hear)
        parts = {"log": log, **query}
        self.page.goto(url + "?" + "&".join(f"{name}={value}" for name, value in parts.items()))
        self.tiles = self.page.get_by_test_id("tile")
        self.tiles.first.wait_for(timeout=60_000)
        self.page.wait_for_function("document.activeElement !== document.body")
        # Streamlit fetches the code of a text field late, and what is below it moves: not in the
        # middle of a press.
        self.page.get_by_role("textbox", name="Note").wait_for()

    def close(self) -> None:
        self.page.remove_listener("pageerror", self._hear)
        if self._is_phone:
            self.page.close()
        else:
            leave(self.page)

    def _hear(self, error: Exception) -> None:
        self.errors.append(error)

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
        until(lambda: self.log.read_text().count("\n") >= count)
        rows = [json.loads(line) for line in self.log.read_text().splitlines()]
        mounts = {event_id.partition(":")[0] for event_id, _, _ in rows}
        numbers = [int(event_id.partition(":")[2]) for event_id, _, _ in rows]
        assert len(mounts) <= 1
        assert numbers == list(range(count))
        return [(image, label) for _, image, label in rows]
