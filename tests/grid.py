"""A page with the labelling grid on it, and the log of what reached the server."""

import json
from pathlib import Path

from tabs import leave, tab
from waiting import until

# Images 100, 101, ... of one batch; every event is appended to a log, one JSON list a line. The
# page has its own routes, which know what was said of each image; what is asked for in its address
# they find beside the log.
SCRIPT = """
import json
import time
from pathlib import Path
import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

WISHES = "wishes.json"

def page():
    from al_desk.grid.label_grid import Frame, label_grid
    from al_desk.routes.grids import Grid
    from al_desk.routes.link import link
    from al_desk.widgets.buttons import pressed

    query = dict(st.query_params)
    log = Path(query["log"])
    names = json.loads(query.get("classes", '["cat", "dog", "bird"]'))
    query["stored"] = st.checkbox("Stored")
    query["fail"] = st.checkbox("The disk is full")
    log.with_name(WISHES).write_text(json.dumps(query))
    link()  # the grids ask at once: what they are answered stands before
    batch = int(query.get("batch", 1)) + st.session_state.get("next", 0)
    size = [int(side) for side in query.get("size", "32x32").split("x")]
    pictures = [(str(i), *size) for i in range(int(query.get("n", 6)))]
    images = [100 + i for i in range(len(pictures))]
    kind = "review" if "review" in query else "batch"
    # A page of one file: the pictures come from nowhere.
    label_grid(Frame(
        Grid(1, kind, batch if kind == "batch" else 0, str(log), "guesses" in query), images,
        "/nowhere/", pictures, [f"{i}.jpg" for i in images], names,
        json.loads(query.get("keys", "[]")) or [""] * len(names), range(len(names)),
        dict.fromkeys(images, (1, 0.61)) if "guess" in query else {},
    ))
    if "two" in query:  # as where test images are asked about below a batch
        more = [image + 500 for image in images]
        label_grid(Frame(
            Grid(1, "truth", 0, str(log)), more, "/nowhere/", pictures, [""] * len(more),
            names, [""] * len(names), range(len(names)),
        ))
    st.text_input("Note")
    st.toggle("Lamp")
    st.selectbox("Fruit", ["apple", "12 pears"])
    with st.container(height=400):
        st.slider("Loud", 0, 9)
    if pressed("Count"):
        st.write(f"counted {len(log.read_text().splitlines())}")
    if st.button("Next batch"):
        st.session_state.next = 1
        st.rerun()

said = {}  # by log and batch: of each image what stands, the last at the end

async def labels(request):
    return await run_in_threadpool(answer, await request.json())

def answer(message):
    from al_desk.routes.grids import grid_of

    grid = grid_of(message["grid"])
    log = Path(grid.annotator)
    wishes = json.loads(log.with_name(WISHES).read_text())
    if wishes["fail"]:
        return JSONResponse({"problem": "The disk is full."}, 503)
    time.sleep(float(wishes.get("slow", 0)) if message["events"] else 0)
    stacks = said.setdefault((log, grid.batch), {})
    with log.open("a") as lines:
        for number, event in enumerate(message["events"], message["first"]):
            image, act, _ = event
            code = -5 if isinstance(act, str) else act
            print(json.dumps([f"{message['mount']}:{number}", image, code]), file=lines)
            stack = stacks.setdefault(image, [])
            if act == -3:
                stack[-1:] = []
            else:
                stack.append(act)
    changed = {*message.get("images", ()), *(event[0] for event in message["events"]), 100}
    stored = {100: 2} if wishes["stored"] else {}
    told = [[i, stacks.get(i, [stored.get(i, -2)])[-1:] or [-2]] for i in changed if i >= 0]
    return JSONResponse({
        "saved": message["first"] + len(message["events"]),
        "at": [sum(map(len, stacks.values())), 0], "labels": [[i, one] for i, (one,) in told],
    })

async def why(request):
    image = request.path_params["image"]
    return JSONResponse({
        "image": image, "chosen": f"rank {image}", "top": None, "hidden": "Hidden.", "near": [1],
        "pictures": [("0", 32, 32)],
    })

if __name__ == "__main__":
    page()
else:
    from al_desk.routes.visitors import take_ticket

    app = st.App(__file__, routes=[
        Route("/labels", labels, methods=["POST"]), Route("/why/{image:int}", why),
        Route("/ticket", take_ticket, methods=["POST"]),
    ])
"""


class Grid:
    """A page with the grid on it, and the log of what reached the server."""

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
        self.tiles = self.page.get_by_test_id("label-grid").first.get_by_test_id("tile")
        self.tiles.first.wait_for(timeout=60_000)
        self.page.wait_for_function("document.activeElement !== document.body")
        # Streamlit fetches the code of a text field late, and what is below it moves: not in the
        # middle of a press.
        self.page.get_by_role("textbox", name="Note").wait_for()

    def close(self) -> None:
        self.page.evaluate("localStorage.clear()")
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
