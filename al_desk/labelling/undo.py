"""Taking back what was said last, across batches and rounds."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st

from al_core.experiment.experiment import open_experiment
from al_core.experiment.leases import is_held, lapses_at
from al_core.experiment.undo import undo
from al_core.store.store import Store
from al_desk.server.resources import is_gone, this_tab
from al_desk.widgets.job_progress import stop_round

FOCUS = "focus"  # session state: the image an undo leads back to, and when
REDRAW = "redraw"  # session state: whether the whole page is to be drawn again


def take_back(store: Store, experiment_id: int, annotator: str, event_id: str) -> str | None:
    """Undo, across batches and rounds; but not in a batch that somebody else labels now. A sentence
    where there is nothing to undo.

    A batch that was handed in is opened again for it; if its round trains now, that is stopped, and
    begins again with the next hand-in.
    """
    experiment = open_experiment(store, experiment_id)
    tab = this_tab()
    theirs = (b for b in experiment.open_batches if b.holder != tab and is_held(b, is_gone))
    asked = {image for b in experiment.batches for image in b.images}
    asked -= {image for b in theirs for image in b.images}
    # The same event may come a second time: then the row is there, and the rest is done again.
    row = next((said for said in experiment.annotations if said.event == event_id), None)
    if row is None:
        row = undo(experiment.annotations, annotator, asked)
        if row is None:
            return "There is nothing to undo."
        store.append(experiment_id, [replace(row, event=event_id)])
    source = next(b for b in reversed(experiment.batches) if row.image in b.images)
    if source.handed_in_at is not None:
        store.reopen(source.id, tab, annotator, lapses_at())
        if source.round == experiment.next_round:
            stop_round(experiment)
    st.session_state[FOCUS] = (row.image, time.time_ns() // 1_000_000)
    st.session_state[REDRAW] = True
    return None
