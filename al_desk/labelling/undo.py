"""Taking back the last answer, across batches and rounds."""

from __future__ import annotations

import time
from dataclasses import replace

import streamlit as st

from al_core.experiment.leases import is_held, lapses_at
from al_core.experiment.undo import undo
from al_desk.context import DeskContext
from al_desk.server.resources import is_gone, this_tab, trainer
from al_desk.widgets.job_progress import round_key

FOCUS = "focus"  # session state: the image an undo leads back to, and when
REDRAW = "redraw"  # session state: whether the whole page must be redrawn


def take_back(context: DeskContext, event_id: str) -> str | None:
    """Undo the annotator's last answer, unless its batch is being labelled by somebody else now; a
    sentence where there is nothing to undo.

    A batch that was handed in is opened again; if its round is training, that is stopped, and
    starts over with the next hand-in.
    """
    store, experiment, tab = context.store, context.reread(), this_tab()
    theirs = (b for b in experiment.open_batches if b.holder != tab and is_held(b, is_gone))
    asked = {image for b in experiment.batches for image in b.images}
    asked -= {image for b in theirs for image in b.images}
    # The same event may arrive twice: then its row is there, and only the rest is done again.
    row = next((row for row in experiment.annotations if row.event == event_id), None)
    if row is None:
        row = undo(experiment.annotations, context.annotator, asked)
        if row is None:
            return "There is nothing to undo."
        store.append(experiment.id, [replace(row, event=event_id)])
    source = next(b for b in reversed(experiment.batches) if row.image in b.images)
    if source.handed_in_at is not None:
        store.reopen(source.id, tab, context.annotator, lapses_at())
        if source.round == experiment.next_round:
            trainer().withdraw(round_key(experiment.id, source.round))
    st.session_state[FOCUS] = (row.image, time.time_ns() // 1_000_000)
    st.session_state[REDRAW] = True
    return None
