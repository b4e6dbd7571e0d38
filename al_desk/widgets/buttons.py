"""Buttons and settings that do something, whatever else the browser sends at that moment.

Streamlit (1.67) makes one message of a press and of what a component says in the same moment, and
runs the component's fragment alone: the script never comes to ``if st.button(...)``. A run that
begins or ends in another thread meanwhile resets the press as well. Callbacks run first, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from al_core.errors import ActiveLearningError
from al_desk.widgets.formatting import plain

TOLD = 20.0  # seconds for which it stands there why something was not done
SAID = 3.0  # seconds after which what was done need not be said any more


def button(label: str, act: Callable[[], str | None], key: str | None = None, **how: Any) -> None:
    """A button that does ``act`` and has the page drawn again.

    ``act`` may be older than what it acts upon, for a label draws only the grid again: it reads the
    log itself.

    A sentence that ``act`` returns is shown for a moment; that of an ActiveLearningError stands
    below the button for a while. ``how`` is for :func:`st.button`.
    """
    name = key or label
    # Without a key it would be another button as soon as its help changes, and a press of it lost.
    st.button(label, key=name, on_click=attempt, args=(name, act), **how)
    tell(name)


def attempt(name: str, act: Callable[[], str | None]) -> None:
    """Do ``act``, as the callback of the widget of that name; :func:`tell` says what came of it."""
    said = problem = None
    try:
        said = act()
    except ActiveLearningError as error:
        problem = str(error)
    st.session_state[f"told-{name}"] = (said, problem, time.monotonic())
    st.rerun()


def pressed(label: str, **how: Any) -> bool:
    """Whether a button was pressed, for what needs the values that stand in the page now."""
    name = f"pressed-{label}"
    st.button(label, key=f"button-{label}", on_click=_note, args=(name,), **how)
    return bool(st.session_state.pop(name, False))


def _note(name: str) -> None:
    st.session_state[name] = True
    st.rerun()


def redraw() -> None:
    """Have the whole page drawn, as the callback of a widget that decides what is on it."""
    st.rerun()


def tell(name: str) -> None:
    """Say what came of the last :func:`attempt` of that name."""
    said, problem, at = st.session_state.get(f"told-{name}", (None, None, 0.0))
    passed = time.monotonic() - at
    if problem and passed < TOLD:
        st.error(plain(problem), icon=":material/error:")
        return
    st.session_state.pop(f"told-{name}", None)
    if said and passed < SAID:
        st.toast(said)
