"""The labelling grid: a batch of images in, a person's labels out.

    label_grid(
        key=f"label-grid-{batch_id}",              # one key per batch
        images=images,                             # uint8 [n, 3, S, S]
        tiles=[Tile(image=17, label=None), ...],   # the same n, in the same order
        class_names=("cat", "dog"),
        on_events=store_them,                      # called with a list[LabelEvent]
    )

The browser keeps all events of a mount and sends the whole list with each label, so an update
may be lost or overtaken and nothing is missed. An event's id is the mount's random id and its
place in that list. Three facts about Streamlit (1.67) stand behind this:

- Trigger values get lost under fast typing; the newest state never does.
- A component's message is sent as a hash once it is larger than 10 kB and the browser has the
  very same one. Call the grid in a fragment with arguments that stay as they are while the batch
  lasts, and a label costs a few hundred bytes instead of the picture.
- A button's ``on_click`` runs before a component's callback when both arrive at once. Act on
  ``if st.button(...)`` in the script's body: by then every label typed before the click is in.
"""

import base64
import io
import re
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

SKIP = -1
CLEAR = -2
_DAY = 24 * 60 * 60 * 1000
_WEBP_LIMIT = 16383  # pixels on a side
_HANDED = "_label_grid_handed"


def _source(*names: str) -> str:
    return "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component(
    "label_grid",
    js=_source("class_list.js", "label_grid.js"),
    css=_source("label_grid.css"),
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of the grid, before the person touches it.

    ``image`` is its position in the training set; ``label`` is ``None`` while it is open,
    ``SKIP``, or a class index. ``truth`` is shown below the picture: for demonstrations only.
    """

    image: int
    label: int | None
    truth: int | None = None


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """One thing the person did: ``label`` is a class index, ``SKIP`` or ``CLEAR``.

    ``event_id`` ("mount:index") names it once and for all. ``milliseconds`` is the time spent on
    the tile since it was reached or since the event before, whichever is later.
    """

    event_id: str
    image: int
    label: int
    milliseconds: int


@dataclass(slots=True)
class _Handed:
    """The events this session's receiver has taken.

    The lock: a click that reruns the page starts a second script thread while the first may still
    be storing. It waits here, so that what it reads afterwards holds all labels, and each once.
    """

    ids: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


def label_grid(
    *,
    key: str,
    images: NDArray[np.uint8],
    tiles: Sequence[Tile],
    class_names: Sequence[str],
    on_events: Callable[[list[LabelEvent]], None],
    disabled: bool = False,
) -> None:
    """Draw the grid; hand each event to ``on_events``, in the order in which they happened.

    ``on_events`` is called as a Streamlit callback, before the script runs. What it raises there
    is held back, and the same events are handed to it again while the grid is drawn: there an
    error reaches the page, which can show it. The same way in come labels typed while the server
    was away. An event may come twice (another session, a reload), so receive by ``event_id``.
    """
    if images.shape[:2] != (len(tiles), 3) or images.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8 [{len(tiles)}, 3, S, S], one for each tile, "
            f"not {images.dtype} {list(images.shape)}"
        )
    if not tiles:
        return
    known = frozenset(tile.image for tile in tiles)

    def hand_over() -> None:
        state = (st.session_state.get(key) or {}).get("events")
        events = parse_events(state, known, len(class_names))
        handed: _Handed = st.session_state.setdefault(_HANDED, _Handed())
        with handed.lock:
            if fresh := [event for event in events if event.event_id not in handed.ids]:
                on_events(fresh)
                handed.ids.update(event.event_id for event in fresh)

    def hand_over_or_wait() -> None:
        try:
            hand_over()
        except Exception:  # not lost: hand_over() below meets it again, where the page can see it
            return

    # Plain ints: with a NumPy one, json.dumps fails and Streamlit sends str(data) in silence.
    _component(
        key=key,
        data={
            "batch": key,
            "size": images.shape[-1],
            "sprite": sprite(np.ascontiguousarray(images).tobytes(), images.shape[-1]),
            "classes": [str(name) for name in class_names],
            "images": [int(tile.image) for tile in tiles],
            "labels": [CLEAR if tile.label is None else int(tile.label) for tile in tiles],
            "truths": [None if tile.truth is None else int(tile.truth) for tile in tiles],
            "disabled": disabled,
        },
        on_events_change=hand_over_or_wait,
    )
    hand_over()


def parse_events(state: object, images: Collection[int], classes: int) -> list[LabelEvent]:
    """The events in what a browser sent. It may have sent anything: what does not fit is left out.

    >>> parse_events({"mount": "a", "events": [[7, 1, 250], [8, 0, 90]]}, {7}, 2)
    [LabelEvent(event_id='a:0', image=7, label=1, milliseconds=250)]
    """
    match state:
        case {"mount": str(mount), "events": list(rows)} if re.fullmatch("[a-z0-9]{1,64}", mount):
            pass
        case _:
            return []
    events = []
    for index, row in enumerate(rows):
        # type(), not isinstance(): True is an int as well.
        if not (isinstance(row, list) and [type(part) for part in row] == [int, int, int]):
            continue
        image, label, milliseconds = row
        if image in images and CLEAR <= label < classes and milliseconds >= 0:
            events.append(LabelEvent(f"{mount}:{index}", image, label, min(milliseconds, _DAY)))
    return events


@lru_cache(maxsize=8)
def sprite(pixels: bytes, size: int) -> str:
    """All pictures of a batch in one, as a data URI; row by row, ``width / size`` in each.

    Lossless up to 64 pixels: 100 CIFAR-10 images take 150 kB and 25 ms as WebP, 222 kB as PNG.
    A single column packs best, more only where WebP's largest height asks for them.
    """
    tiles = np.frombuffer(pixels, np.uint8).reshape(-1, 3, size, size).transpose(0, 2, 3, 1)
    columns = -(-len(tiles) // (_WEBP_LIMIT // size))
    rows = -(-len(tiles) // columns)
    sheet = np.zeros((rows * columns, size, size, 3), np.uint8)
    sheet[: len(tiles)] = tiles
    sheet = sheet.reshape(rows, columns, size, size, 3).transpose(0, 2, 1, 3, 4)
    picture = Image.fromarray(sheet.reshape(rows * size, columns * size, 3))
    target = io.BytesIO()
    if size <= 64:
        picture.save(target, "WEBP", lossless=True, method=2, quality=25)
    else:
        picture.save(target, "WEBP", quality=90)
    return "data:image/webp;base64," + base64.b64encode(target.getvalue()).decode()
