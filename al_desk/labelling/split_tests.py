"""Test images whose class was split: a person says what they are now."""

from __future__ import annotations

import streamlit as st

from al_core.experiment.source import unsaid_tests
from al_core.names import counted
from al_desk.context import DeskContext
from al_desk.grid.label_grid import label_grid
from al_desk.grid.tiles import frame_of_tests, grid_of

AT_ONCE = 100


def label_split_tests(context: DeskContext) -> None:
    """A grid of them behind a line, while there are any or it is open; they measure again as soon
    as somebody has said what they are."""
    experiment, key = context.experiment, f"split-tests-{context.experiment.id}"
    waiting = unsaid_tests(experiment, context.dataset)
    if not waiting and key not in st.session_state:
        return
    # Its words stay the same: with others it would be another one, and the grid in it too.
    opened = st.expander(
        "Test images of a class that was split: label",
        icon=":material/help:",
        key=f"{key}-open",
        on_change=st.rerun,
    )
    if not opened.open:
        st.session_state.pop(key, None)
        return
    # The grid keeps its tiles while they are labelled, so that an undo finds them.
    images: list[int] = st.session_state.setdefault(key, waiting[:AT_ONCE])
    if waiting and not set(images) & set(waiting):
        images = st.session_state[key] = waiting[:AT_ONCE]
    with opened:
        left = f"{counted(len(waiting), 'image')} left" if waiting else "All have a class again"
        st.caption(f"{left}. Until somebody has said what they are now, they measure nothing.")
        label_grid(frame_of_tests(context, grid_of(context, "truth"), images))
