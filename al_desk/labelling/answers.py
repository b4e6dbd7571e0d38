"""What a grid says, as rows of the log; also what grids say that left the page too early."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from al_core.errors import StoreError
from al_core.experiment.experiment import open_experiment
from al_core.experiment.undo import undo
from al_core.images.dataset import Dataset
from al_core.store.records import Annotation
from al_core.store.store import Store
from al_desk.grid.events import CLEAR, SKIP, UNDO, GridEvent, parse_events
from al_desk.grid.label_grid import source, taken
from al_desk.setup.annotator import name_or

KINDS = ("batch", "review", "opinion")  # of grids; an opinion is given blind
_DELIVERED = "_answers_delivered"  # session state: how many events of each mount are on disk

_kept = st.components.v2.component(
    "kept_answers",
    html='<div class="kept" role="alert" hidden></div>',
    js=source("unsaved_answers.js"),
    css=source("unsaved_answers.css"),
)


def grid_key(experiment_id: int, kind: str, name: object) -> str:
    """The key of a grid, from which :func:`deliver_kept_answers` knows what its events mean."""
    return f"grid-{experiment_id}-{kind}-{name}"


def annotation(
    event: GridEvent, number: int, annotator: str, dataset: Dataset, guess_shown: bool
) -> Annotation:
    """What an event of the grid says, as the log keeps it."""
    return Annotation(
        image=event.image,
        label=event.act if event.act >= 0 else None,
        round=number,
        annotator=annotator,
        cleared=event.act == CLEAR,
        key=dataset.train.keys[event.image],
        event=event.event_id,
        milliseconds=event.milliseconds,
        guess_shown=guess_shown,
    )


def rows(
    events: Sequence[GridEvent],
    log: Sequence[Annotation],
    number: int,
    annotator: str,
    dataset: Dataset,
    guess_shown: bool,
    opinion: bool = False,
) -> list[Annotation]:
    """What ``events`` about one image each add to ``log``, which holds what was said of those
    images; nothing for those it holds already.

    An ``opinion`` takes nothing away from what others said: to clear it is to undo it.
    """
    log = [*log]
    known = {said.event for said in log}
    new: list[Annotation] = []
    for event in events:
        said: Annotation | None = annotation(event, number, annotator, dataset, guess_shown)
        if event.act == UNDO or (opinion and event.act == CLEAR):
            row = undo(log, annotator, [event.image])
            said = row and replace(row, event=event.event_id)
        elif opinion and event.act == SKIP:
            said = None
        if said is not None and said.event not in known:
            log.append(said)
            new.append(said)
    return new


def deliver_kept_answers(store: Store, experiment_id: int, dataset: Dataset) -> None:
    """Save what the browser keeps of grids that are not on the page any more.

    Labels typed while the server or the database was away wait in the browser; when it is back,
    their batch may have gone to somebody else, and no grid will ask for them. Outside of any
    fragment, so that a server that was started anew draws the whole page when it is asked.
    """
    key = f"kept-answers-{experiment_id}"
    delivered: dict[str, int] = st.session_state.setdefault(_DELIVERED, {})
    _kept(
        key=key,
        data={"experiment": experiment_id, "saved": _saved(delivered)},
        on_journals_change=lambda: None,
    )
    sent = (st.session_state.get(key) or {}).get("journals")
    try:
        fresh = _deliver(store, experiment_id, dataset, sent, delivered)
    except StoreError:
        return  # the browser keeps them, and sends them again
    if fresh:
        st.rerun()


def _saved(delivered: dict[str, int]) -> dict[str, int]:
    """How many events of each mount are on disk. A grid that leaves with its hand-in has not heard
    of it, and would have the whole page drawn a second time for nothing."""
    saved = taken()
    return saved | {mount: max(n, saved.get(mount, 0)) for mount, n in delivered.items()}


def tell_of_kept_answers() -> None:
    """Say how many answers wait in the browser, where they cannot be saved now."""
    _kept(key="kept-answers", data={})


def _deliver(
    store: Store, experiment_id: int, dataset: Dataset, sent: Any, delivered: dict[str, int]
) -> bool:
    """Write what was ``sent`` to the log; whether it was anything new."""
    fresh = False
    for journal in sent if isinstance(sent, list) else []:
        match journal:
            case {"grid": str(grid), "who": str(who)}:
                found = re.fullmatch(rf"grid-{experiment_id}-({'|'.join(KINDS)})-(\w+)", grid)
            case _:
                found = None
        if found is None:
            continue
        experiment = open_experiment(store, experiment_id)
        config, kind = experiment.config, found[1]
        images, number = range(experiment.pool_size), experiment.label_round
        shown = kind == "review" or (kind == "batch" and config.show_guesses)
        for batch in experiment.batches:
            if kind == "batch" and str(batch.id) == found[2]:
                number = batch.round
        mount, count, events = parse_events(journal, images, len(config.class_names))
        if not mount or count <= delivered.get(mount, 0):
            continue
        answers = [event for _, event in events if event.image in images]
        log = store.annotations(experiment_id, [event.image for event in answers])
        name = name_or(who, "me")
        said = rows(answers, log, number, name, dataset, shown, kind == "opinion")
        store.append(experiment_id, said)
        delivered[mount] = count
        fresh = True
    return fresh
