"""Waiting for others who still label the round that trains next."""

from __future__ import annotations

import streamlit as st

from al_core.errors import StoreError
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.leases import close_round, held_by_others
from al_core.store.store import Store
from al_desk.server.resources import is_gone, this_tab
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import local_time, plain


def wait_for_others(store: Store, experiment: Experiment) -> None:
    """Say who still labels the round that trains next, and offer to go on without them."""
    number = experiment.next_round
    if others := held_by_others(experiment, number, this_tab(), is_gone):
        _others(store, experiment.id, number, len(others))


@st.fragment(run_every=2.0)
def _others(store: Store, experiment_id: int, number: int, known: int) -> None:
    try:
        close_round(store, experiment_id, number, is_gone)
        experiment = open_experiment(store, experiment_id)
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
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
        f"It goes on without them at {local_time(lapse):%H:%M} if they stay silent.",
        icon=":material/group:",
    )

    def go_on() -> None:
        for batch in others:
            store.hand_in(batch.id)

    button("Go on without them", go_on, help="Their labels so far are kept.")
