"""What the events of a grid mean, as rows of the log; also of grids that left the page unsaved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import streamlit as st

from al_core.errors import ConfigError, StoreError
from al_core.experiment.class_acts import add, change_classes, say_truth
from al_core.experiment.leases import lapses_at
from al_core.experiment.undo import undo
from al_core.store.records import Annotation, Batch
from al_desk.context import DeskContext
from al_desk.grid.events import CLEAR, NEW, SKIPS, UNDO, GridEvent, parse_events
from al_desk.grid.label_grid import on_disk
from al_desk.setup.annotator import name_or
from al_desk.widgets.scripts import source

# Of grids: an opinion is given blind, a truth is of a test image.
KINDS = ("batch", "review", "opinion", "truth")

_unsaved = st.components.v2.component(
    "unsaved_answers",
    html='<div class="unsaved" role="alert" hidden></div>',
    js=source("grid/unsaved_answers.js"),
    css=source("grid/unsaved_answers.css"),
)


def grid_key(context: DeskContext, kind: str, name: object) -> str:
    """The key of a grid; it tells :func:`deliver_unsaved_answers` what the grid's events mean."""
    return f"grid-{context.experiment.id}-{kind}-{name}"


def save(
    context: DeskContext,
    kind: str,
    number: int,
    events: Sequence[GridEvent],
    batch: Batch | None = None,
) -> str | None:
    """Write ``events`` of a grid of that ``kind``, each about one image, to the log, and renew the
    lease of ``batch``; round ``number`` is the first to train on them. A sentence, if one of them
    names a class that cannot be added.

    Those that are there already are left out. An opinion never changes what others answered:
    clearing it undoes it.
    """
    numbers, refused = _added(context, events)
    if kind == "truth":
        _say_truths(context, events, numbers)
        return refused
    log: list[Annotation] = []
    if any(event.act in (UNDO, CLEAR) for event in events):
        log = context.store.annotations(context.experiment.id, [event.image for event in events])
    saved = {row.event for row in log}
    shown = kind == "review" or (kind == "batch" and context.experiment.config.show_guesses)
    new: list[Annotation] = []
    for event in events:
        row: Annotation | None = None
        if event.event_id in saved or (event.act == NEW and event.name not in numbers):
            continue
        if event.act == UNDO or (kind == "opinion" and event.act == CLEAR):
            undone = undo([*log, *new], context.annotator, [event.image])
            row = undone and replace(undone, event=event.event_id)
        elif kind != "opinion" or event.act not in SKIPS:
            label = numbers[event.name] if event.act == NEW else event.act
            row = Annotation(
                image=event.image,
                label=label if label >= 0 else None,
                round=number,
                annotator=context.annotator,
                cleared=event.act == CLEAR,
                key=context.dataset.train.keys[event.image],
                event=event.event_id,
                milliseconds=event.milliseconds,
                guess_shown=shown,
                reason=SKIPS.get(event.act),
            )
        if row is not None:
            new.append(row)
    renewed = None if batch is None else (batch, lapses_at())
    context.store.append(context.experiment.id, new, renewed)
    return refused


def _say_truths(context: DeskContext, events: Sequence[GridEvent], numbers: dict[str, int]) -> None:
    for event in events:
        label = numbers.get(event.name, event.act)
        said = dict(context.reread().classes.truths).get(event.image)
        if event.act in (UNDO, CLEAR) or (label >= 0 and label != said):
            with suppress(ConfigError):  # there is nothing to take back
                make = say_truth(event.image, label if label >= 0 else None)
                change_classes(context.store, context.experiment.id, context.annotator, make)


def _added(context: DeskContext, events: Sequence[GridEvent]) -> tuple[dict[str, int], str | None]:
    """The number of each class that ``events`` name, which is added if there is none; and why the
    last of those that cannot be added is not."""
    numbers: dict[str, int] = {}
    refused = None
    for name in dict.fromkeys(event.name for event in events if event.act == NEW):
        classes = context.reread().classes
        try:
            if name not in {classes.names[one] for one in classes.shown}:
                store, number = context.store, context.experiment.id
                classes = change_classes(store, number, context.annotator, add([name]))
            numbers[name] = classes.number(name)
        except ConfigError as error:
            refused = str(error)
    return numbers, refused


def deliver_unsaved_answers(context: DeskContext) -> None:
    """Save what the browser keeps of grids that are no longer on the page.

    Labels typed while the server or the database was away wait in the browser. By the time it is
    back, their batch may have gone to somebody else, and no grid will send them. This is outside
    any fragment, so that a restarted server draws the whole page when the browser asks.
    """
    key = f"unsaved-answers-{context.experiment.id}"
    # Those of the grids, too: one that leaves with its hand-in has not heard that it was saved, and
    # the whole page would be drawn a second time for nothing.
    saved = on_disk()
    data = {"experiment": context.experiment.id, "saved": dict(saved)}
    _unsaved(key=key, data=data, on_journals_change=lambda: None)
    sent = (st.session_state.get(key) or {}).get("journals")
    with suppress(StoreError):  # the browser keeps them, and sends them again
        if _deliver(context, sent if isinstance(sent, list) else [], saved):
            st.rerun()


def warn_of_unsaved_answers() -> None:
    """Say how many answers wait in the browser, where they cannot be saved now."""
    # A grid that left with its hand-in has not heard that it was saved.
    _unsaved(key="unsaved-answers", data={"saved": dict(on_disk())})


def _deliver(context: DeskContext, sent: list[Any], saved: dict[str, int]) -> bool:
    """Write the journals that were ``sent`` to the log; whether there was anything new in them."""
    any_new = False
    for journal in sent:
        match journal:
            case {"grid": str(grid), "who": str(who)}:
                prefix = f"grid-{context.experiment.id}"
                found = re.fullmatch(rf"{prefix}-({'|'.join(KINDS)})-(\w+)", grid)
            case _:
                found = None
        if found is None:
            continue
        kind, name = found.groups()
        experiment = context.reread()
        context = replace(context, experiment=experiment, annotator=name_or(who, "me"))
        batches = experiment.batches if kind == "batch" else ()
        rounds = (batch.round for batch in batches if str(batch.id) == name)
        number = next(rounds, experiment.label_round)
        images, classes = range(experiment.pool_size), len(experiment.config.class_names)
        mount, count, events = parse_events(journal, images, classes)
        if mount and count > saved.get(mount, 0):
            save(context, kind, number, [event for _, event in events if event.image in images])
            saved[mount] = count
            any_new = True
    return any_new
