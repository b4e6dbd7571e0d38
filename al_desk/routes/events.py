"""What a person does in the labelling grid, as the browser sends it."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from al_core.names import LENGTH
from al_core.store.records import REASONS

SKIP = -1
CLEAR = -2
UNDO = -3
HAND_IN = -4
NEW = -5
OUT = -9  # of what is offered as one class: of another, and still open
SKIPS = {SKIP: None} | {-6 - i: reason for i, reason in enumerate(REASONS)}  # with their reasons
ANY = -1  # the image of an event that is about none in particular
_DAY = 24 * 60 * 60 * 1000  # milliseconds


@dataclass(frozen=True, slots=True)
class GridEvent:
    """One thing the person did: ``act`` is the number of a class, one of ``SKIPS``, ``CLEAR``,
    ``UNDO``, ``HAND_IN``, ``OUT``, or ``NEW``: a class that is called ``name`` and may have to be
    added.

    ``UNDO`` takes back the last act on ``image`` or, if that is ``ANY``, the last act before this
    grid was drawn. ``event_id`` ("mount:number") is unique. ``milliseconds`` is the time since the
    tile was reached or since the previous event, whichever is later, divided by the number of
    images that were labelled at once.
    """

    event_id: str
    image: int
    act: int
    milliseconds: int
    name: str = ""


def parse_events(
    state: object, images: Collection[int], classes: int
) -> tuple[int, list[GridEvent]]:
    """What a browser sent: the number of events so far, and those in this message. A browser may
    send anything: what is not valid is left out.

    >>> parse_events({"mount": "a", "first": 3, "events": [[7, 1, 250]]}, {7}, 2)
    (4, [GridEvent(event_id='a:3', image=7, act=1, milliseconds=250, name='')])
    """
    match state:
        case {"mount": str(mount), "first": int(first), "events": list(rows)} if (
            re.fullmatch("[a-z0-9]{1,64}", mount) and 0 <= first < 10**9
        ):
            pass
        case _:
            return 0, []
    events = []
    for number, row in enumerate(rows, start=first):
        name = ""
        match row:
            case [image, str(name), milliseconds] if name and len(name) <= LENGTH:
                row = [image, NEW, milliseconds]
        # type(), not isinstance(): True is an int as well.
        if not (isinstance(row, list) and [type(part) for part in row] == [int, int, int]):
            continue
        image, act, milliseconds = row
        about_one = image in images and (
            UNDO <= act < classes or act in SKIPS or act == OUT or name != ""
        )
        about_none = image == ANY and act in (UNDO, HAND_IN)
        if milliseconds >= 0 and (about_one or about_none):
            event = GridEvent(f"{mount}:{number}", image, act, min(milliseconds, _DAY), name)
            events.append(event)
    return first + len(rows), events
