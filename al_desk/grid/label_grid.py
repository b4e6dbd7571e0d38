"""The labelling grid: a batch of images in, what a person does with them out.

    label_grid(
        key=f"grid-{batch_id}",                    # one key per batch
        images=images,                             # uint8 [n, 3, S, S]
        tiles=[Tile(image=17, label=None), ...],   # the same n, in the same order
        class_names=("cat", "dog"),
        on_events=store_them,                      # called with a list[GridEvent]
    )

What stays as it is while a batch lasts travels once, as a *frame*, pictures included; what changes
travels as a small *status*. The browser keeps the events that no status has acknowledged and sends
all of them each time, so an update may be lost or overtaken and nothing is missed. An event's id
is the mount's random id and its number there. Three facts about Streamlit (1.67) stand behind this:

- Trigger values get lost under fast typing; the newest state never does.
- A component's message is sent as a hash once it is larger than 10 kB and the browser has the
  very same one. Call the grid in a fragment with arguments that stay as they are while the batch
  lasts, and a label costs a few hundred bytes instead of the picture.
- A component's data may be bytes, but then nothing else: the frame is JSON and pictures in one.
"""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from al_core.errors import ActiveLearningError
from al_desk.grid.events import GridEvent, parse_events
from al_desk.grid.sprites import sprite

_RECEIVED = "_label_grid_received"


def source(*names: str) -> str:
    """The files in one, without indentation and comments, for it travels with each batch."""
    text = "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


_grid = st.components.v2.component(
    "label_grid",
    js=source(
        "elements.js",
        "head.js",
        "tiles.js",
        "journal.js",
        "keyboard.js",
        "selection.js",
        "class_list.js",
        "label_grid.js",
    ),
    css=source("label_grid.css", "panels.css"),
)
# Hands on what changes while a batch lasts; the grid may be mounted before it or after it.
_status = st.components.v2.component("label_grid_status", js=source("grid_status.js"))


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of the grid, before the person touches it.

    ``image`` is its position in the training set; ``label`` is ``None`` while it is open,
    ``SKIP``, or a class index. ``guess`` is the model's class and its probability, shown once the
    tile has another label. ``truth`` is shown below the picture: for demonstrations only.
    """

    image: int
    label: int | None
    guess: tuple[int, float] | None = None
    truth: int | None = None


@dataclass(slots=True)
class _Received:
    """How many events of each mount this session's receiver has taken, what it refused last, and
    the pictures that were drawn.

    The lock: a click that reruns the page starts a second script thread while the first may still
    be storing. It waits here, so that what it reads afterwards holds all labels, and each once.
    """

    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str | None] = field(default_factory=dict)  # by the key of the grid
    problem: str | None = None  # that the callback of this run has met
    sheets: dict[str, bytes] = field(default_factory=dict)  # of the last two grids
    lock: threading.Lock = field(default_factory=threading.Lock)


def label_grid(
    *,
    key: str,
    images: NDArray[np.uint8],
    tiles: Sequence[Tile],
    class_names: Sequence[str],
    on_events: Callable[[list[GridEvent]], str | None],
    explain: Callable[[int], dict[str, Any]] | None = None,
    show_guesses: bool = False,
    review: bool = False,
    focus: tuple[int, int] | None = None,
    who: str = "",
    disabled: bool = False,
) -> None:
    """Draw the grid; hand each event to ``on_events``, in the order in which they happened.

    ``on_events`` is called as a Streamlit callback, before the script runs. An ActiveLearningError
    that it raises there is shown while the grid is drawn, with a button to save again; the browser
    keeps the labels and sends them again. Labels typed while the server was away come while the
    grid is drawn. An event may come twice (another session, a reload), so receive by ``event_id``.
    It may answer with a sentence that says why the batch cannot be handed in, or nothing be undone.
    After a hand-in keys do nothing more, until that sentence comes or another grid is drawn.

    ``explain`` answers why an image was chosen (see :func:`al_desk.grid.tiles.why`). ``review`` is
    for labels to be looked at again: nothing is handed in. ``focus`` is an image to go to and a
    number that grows with each such wish. ``who`` labels: nobody undoes what somebody else did.
    """
    if images.shape[:2] != (len(tiles), 3) or images.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8 [{len(tiles)}, 3, S, S], one for each tile, "
            f"not {images.dtype} {list(images.shape)}"
        )
    if not tiles:
        return
    known = frozenset(tile.image for tile in tiles)
    received: _Received = st.session_state.setdefault(_RECEIVED, _Received())

    def hand_over() -> None:
        mount, first, events = parse_events(sent("events"), known, len(class_names))
        with received.lock:
            count = received.counts.get(mount, 0)
            if fresh := [event for number, event in events if number >= count]:
                received.refused[key] = on_events(fresh)
            received.counts[mount] = max(count, first)

    def hand_over_or_wait() -> None:
        try:
            hand_over()
        except ActiveLearningError as error:
            # Said below. To wait for a locked database once more would take longer than until the
            # events come again, and the page would be drawn anew before it has said anything.
            received.problem = str(error)
        except Exception:  # not lost: hand_over() below meets it again, where the page can see it
            return

    def sent(what: str) -> Any:
        return (st.session_state.get(key) or {}).get(what)

    _grid(
        key=key,
        data=_frame(key, received.sheets, images, tiles, class_names),
        on_events_change=hand_over_or_wait,
        on_why_change=lambda: None,
    )
    problem, received.problem = received.problem, None
    explanation = None
    state, asked = sent("events"), sent("why")
    try:
        if problem is None:
            hand_over()
        if explain and type(asked) is int and asked in known:
            explanation = explain(asked)
    except ActiveLearningError as error:
        problem = str(error)
    mount = str(state.get("mount")) if isinstance(state, dict) else ""
    status = {
        "grid": key,
        "labels": ",".join("" if t.label is None else str(t.label) for t in tiles).rstrip(","),
        "mount": mount,
        "saved": received.counts.get(mount, 0),
        "problem": problem,
        "refused": received.refused.get(key),
        "why": explanation,
        "guesses": show_guesses,
        "review": review,
        "who": who,
        "focus": focus and {"image": int(focus[0]), "turn": focus[1]},
        "disabled": disabled,
    }
    # A message for each label: what is not so need not be said.
    _status(key=f"{key}-status", data={name: value for name, value in status.items() if value})


def taken() -> dict[str, int]:
    """How many events of each mount are on disk, as far as grids of this session know."""
    received: _Received | None = st.session_state.get(_RECEIVED)
    return dict(received.counts) if received else {}


def _frame(
    key: str,
    sheets: dict[str, bytes],
    images: NDArray[np.uint8],
    tiles: Sequence[Tile],
    class_names: Sequence[str],
) -> bytes:
    """What the browser needs once: the length of a JSON text, the text, the sheet of pictures."""
    size = images.shape[-1]
    drawn = f"{key} {[tile.image for tile in tiles]}"
    sheet = sheets.pop(drawn, None) or sprite(images)
    while len(sheets) > 1:  # another grid may be on its way out
        del sheets[next(iter(sheets))]
    sheets[drawn] = sheet
    about = {
        "key": key,
        "size": size,
        "classes": [str(name) for name in class_names],
        "images": [int(tile.image) for tile in tiles],
        "guesses": [tile.guess and [int(tile.guess[0]), round(100 * tile.guess[1])]
                    for tile in tiles],
        "truths": [None if tile.truth is None else int(tile.truth) for tile in tiles],
    }  # fmt: skip
    about["digest"] = hashlib.blake2b(json.dumps(about).encode() + sheet, digest_size=8).hexdigest()
    text = json.dumps(about, separators=(",", ":")).encode()
    return struct.pack("<I", len(text)) + text + sheet
