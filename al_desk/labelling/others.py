"""Waiting for others who are still labelling the round that trains next."""

from __future__ import annotations

import streamlit as st

from al_core.errors import StoreError
from al_core.experiment.leases import close_round, held_by_others
from al_desk.context import DeskContext
from al_desk.server.resources import is_gone, this_tab
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import local_time, show_error


def wait_for_others(context: DeskContext) -> None:
    """Say who is still labelling the round that trains next, and offer to go on without them."""
    experiment = context.experiment
    if others := held_by_others(experiment, experiment.next_round, this_tab(), is_gone):
        _others(context, len(others))


@st.fragment(run_every=2.0)
def _others(context: DeskContext, known: int) -> None:
    number = context.experiment.next_round
    try:
        close_round(context.store, context.experiment.id, number, is_gone)
        experiment = context.reread()
    except StoreError as error:
        show_error(error)
        return
    others = held_by_others(experiment, number, this_tab(), is_gone)
    if len(others) != known:
        st.rerun(scope="app")
    answers = experiment.pool.answers
    asked = [image for batch in others for image in batch.images]
    done = sum(image in answers for image in asked)
    lapse = max(batch.leased_until for batch in others if batch.leased_until)
    st.info(
        f"Round {number} waits for what others still label: {done} of {len(asked)} images. "
        f"If they stay silent, it goes on without them at {local_time(lapse):%H:%M}.",
        icon=":material/group:",
    )

    def go_on() -> None:
        for batch in others:
            context.store.hand_in(batch.id)

    button("Go on without them", go_on, help="Their labels so far are kept.")
