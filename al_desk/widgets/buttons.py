"""Buttons that do something to the log, and say what came of it.

What they do stands in a callback: it runs before the page is drawn, whatever else the browser says
in the same message, and also where a run that ends in another thread meanwhile resets the press
(Streamlit 1.67). For the same reason the callback of a widget that decides what is on the page is
``st.rerun``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import streamlit as st

from al_core.errors import ActiveLearningError
from al_desk.widgets.formatting import show_error

PROBLEM_SHOWN = 20.0  # seconds for which the page says why something was not done
RESULT_SHOWN = 3.0  # seconds for which it says what was done


def button(label: str, act: Callable[[], str | None], key: str | None = None, **how: Any) -> None:
    """A button that does ``act`` and has the page redrawn.

    ``act`` reads the log itself, since the page may be older than the log: a label redraws only the
    grid. A sentence that it returns is shown for a moment; that of an ActiveLearningError stays
    below the button for a while. ``how`` is for :func:`st.button`.
    """
    name = key or label
    # Without a key it would become another button when its help changes, and lose a press.
    st.button(label, key=name, on_click=attempt, args=(name, act), **how)
    tell(name)


def attempt(name: str, act: Callable[[], str | None]) -> None:
    """Do ``act`` as the callback of the widget of that name; :func:`tell` shows the outcome."""
    result = problem = None
    try:
        result = act()
    except ActiveLearningError as error:
        problem = str(error)
    st.session_state[f"told-{name}"] = (result, problem, time.monotonic())
    st.rerun()


def pressed(label: str, suffix: str = "", **how: Any) -> bool:
    """Whether a button was pressed; for what needs the values that are on the page now. ``suffix``
    tells two buttons of one label apart."""
    name = f"pressed-{label}-{suffix}"
    st.button(label, key=name, on_click=attempt, args=(name, lambda: None), **how)
    return st.session_state.pop(f"told-{name}", None) is not None


def tell(name: str) -> None:
    """Show the outcome of the last :func:`attempt` of that name."""
    result, problem, at = st.session_state.get(f"told-{name}", (None, None, 0.0))
    passed = time.monotonic() - at
    if problem and passed < PROBLEM_SHOWN:
        show_error(problem)
        return
    st.session_state.pop(f"told-{name}", None)
    if result and passed < RESULT_SHOWN:
        st.toast(result)
