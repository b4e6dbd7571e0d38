"""The labelling grid: a batch of images in, what a person does with them out.

The frame does not change while a batch is labelled, so it is sent once, and the browser asks for
its pictures by HTTP; the status is small and is sent after every label. The browser keeps the
events that no status has acknowledged and sends all of them each time, so a lost or overtaken
update loses nothing. An event's id is the mount's random id and the event's number in it. This
rests on two facts about Streamlit (1.67):

- Trigger values get lost under fast typing; the newest state never does.
- A component's message larger than 10 kB is sent as a hash if the browser already has the very
  same one. Call the grid in a fragment whose arguments stay the same while the batch is labelled,
  and a label costs a few hundred bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from al_core.errors import ActiveLearningError
from al_desk.grid.events import GridEvent, parse_events
from al_desk.routes.pictures import Shown
from al_desk.widgets.scripts import source

_RECEIVED = "_label_grid_received"


SCRIPTS = "elements head tiles journal keyboard selection class_list label_grid"
_grid = st.components.v2.component(
    "label_grid",
    js=source("widgets/picture.js", *(f"grid/{name}.js" for name in SCRIPTS.split())),
    css=source("widgets/picture.css", "grid/label_grid.css", "grid/panels.css"),
)
# Delivers the status; the grid may be mounted before or after it.
_status = st.components.v2.component("label_grid_status", js=source("grid/grid_status.js"))


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What stays the same while a batch is labelled; each batch has its own ``key``.

    ``images`` are positions in the training set, ``pictures`` one for each; the browser asks for
    ``address/name/thumbnail``, or ``/original``. ``class_names`` are those of all classes by their
    numbers, ``shown`` the numbers of those that can be given, in their order. ``guesses`` are the
    model's classes and their probabilities, each shown once its tile has a different label;
    ``truths`` are shown below the pictures, for demonstrations.
    """

    key: str
    images: Sequence[int]
    address: str
    pictures: Sequence[Shown]
    class_names: Sequence[str]
    shown: Sequence[int]
    guesses: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    truths: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GridStatus:
    """What may change while a batch is labelled.

    ``labels``: what is saved for each tile: None while it is open, one of ``SKIPS``, or the
    number of a class.
    ``annotator``: whose grid it is; nobody undoes what somebody else did. ``review``: labels are
    looked at again, and nothing is handed in. ``focus``: an image to go to, and a number that grows
    with each such request.
    """

    labels: Sequence[int | None]
    annotator: str = ""
    review: bool = False
    show_guesses: bool = False
    focus: tuple[int, int] | None = None


@dataclass(slots=True)
class _Received:
    """What this session has received: the number of events per mount, the last refusal per grid.

    The lock: a click that reruns the page starts a second script thread while the first may still
    be saving. It waits here, so that it then reads every label, and each of them once.
    """

    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str | None] = field(default_factory=dict)
    problem: str | None = None  # what went wrong in the callback of this run
    lock: threading.Lock = field(default_factory=threading.Lock)


def label_grid(
    frame: Frame,
    status: GridStatus,
    on_events: Callable[[list[GridEvent]], str | None],
    explain: Callable[[int], dict[str, Any]] | None = None,
) -> None:
    """Draw the grid; pass each event to ``on_events``, in the order in which they happened.

    ``on_events`` runs as a Streamlit callback, before the script does. If it raises an
    ActiveLearningError there, the grid shows it with a button to save again; the browser keeps the
    labels and sends them again. Labels typed while the server was away arrive while the grid is
    drawn. An event may arrive twice (from another session, or after a reload), so ``event_id`` must
    be checked. ``on_events`` may return a sentence that says why a batch cannot be handed in, or
    why nothing can be undone. After a hand-in, keys do nothing until that sentence arrives or
    another grid is drawn.

    ``explain`` says why an image was chosen (see :func:`al_desk.grid.tiles.why`).
    """
    if not frame.images:
        return
    known = frozenset(frame.images)
    received: _Received = st.session_state.setdefault(_RECEIVED, _Received())

    def sent(what: str) -> Any:
        return (st.session_state.get(frame.key) or {}).get(what)

    def receive() -> None:
        mount, first, events = parse_events(sent("events"), known, len(frame.class_names))
        with received.lock:
            count = received.counts.get(mount, 0)
            if fresh := [event for number, event in events if number >= count]:
                received.refused[frame.key] = on_events(fresh)
            received.counts[mount] = max(count, first)

    def receive_first() -> None:
        try:
            receive()
        except ActiveLearningError as error:
            # Shown below. Waiting for a locked database a second time would take longer than the
            # browser waits before it sends the events again.
            received.problem = str(error)
        except Exception:  # not lost: receive() below meets it again, where the page can show it
            return

    _grid(
        key=frame.key,
        data=_as_json(frame),
        on_events_change=receive_first,
        on_why_change=lambda: None,
    )
    problem, received.problem = received.problem, None
    explanation = None
    state, asked = sent("events"), sent("why")
    try:
        if problem is None:
            receive()
        if explain and type(asked) is int and asked in known:
            explanation = explain(asked)
    except ActiveLearningError as error:
        problem = str(error)
    mount = str(state.get("mount")) if isinstance(state, dict) else ""
    message = {
        "grid": frame.key,
        "labels": ",".join("" if n is None else str(n) for n in status.labels).rstrip(","),
        "mount": mount,
        "saved": received.counts.get(mount, 0),
        "problem": problem,
        "refused": received.refused.get(frame.key),
        "why": explanation,
        "guesses": status.show_guesses,
        "review": status.review,
        "who": status.annotator,
        "focus": status.focus and {"image": int(status.focus[0]), "turn": status.focus[1]},
    }
    # Sent after every label, so what is false or empty is left out.
    _status(key=f"{frame.key}-status", data={name: v for name, v in message.items() if v})


def on_disk() -> dict[str, int]:
    """How many events of each mount are on disk, as far as this session knows."""
    received: _Received = st.session_state.setdefault(_RECEIVED, _Received())
    return received.counts


def _as_json(frame: Frame) -> dict[str, Any]:
    images = [int(image) for image in frame.images]
    return {
        "key": frame.key,
        "address": frame.address,
        "pictures": [list(picture) for picture in frame.pictures],
        "classes": [str(name) for name in frame.class_names],
        "shown": [int(number) for number in frame.shown],
        "images": images,
        "guesses": [g and [int(g[0]), round(100 * g[1])] for g in map(frame.guesses.get, images)],
        "truths": [frame.truths.get(image) for image in images],
    }
