"""Matters behind a few words: what there is to tell takes a line, until a person opens it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import streamlit as st

from al_desk.widgets.scripts import source

FEW = 30  # characters of a line; it never leaves its row

_focus = st.components.v2.component("matters", js=source("widgets/matters.js"))


class Matter(NamedTuple):
    """``words`` for a line, empty where those of another say enough, and what draws all of it;
    ``asks`` where a person has to answer."""

    words: str
    draw: Callable[[], None]
    asks: bool = False


def behind_words(matters: Sequence[Matter], key: str, ending: str, icon: str | None = None) -> bool:
    """One button that says what the matters are, and below it, while it is open, all of them.
    Nothing where there are none. ``ending``: what a person does there. Whether it is open."""
    if not matters:
        return False
    said, *more = (matter.words for matter in matters if matter.words)
    while more and len(said) + len(more[0]) <= FEW:
        said += f", {more.pop(0)}"
    label = f"{said}{' and more' * bool(more)}: {ending}"
    # Under another label it would be another popover, and closed: it stays what it was while open.
    if st.session_state.get(key):
        label = st.session_state.get(f"label-{key}", label)
    st.session_state[f"label-{key}"] = label
    opened = st.popover(label, type="tertiary", icon=icon, key=key, on_change=st.rerun)
    if opened.open:  # while it is closed, its pictures and lists need not be sent
        with opened:
            for matter in matters:
                matter.draw()
            _focus(key=f"focus-{key}")
    return bool(opened.open)
