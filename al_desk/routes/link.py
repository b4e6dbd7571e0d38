"""The page's link to its scripts: the cookie for our routes, another run, and new tokens."""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from al_desk.routes.grids import renewed
from al_desk.routes.visitors import base, ticket

KEY = "link"
_link = st.components.v2.component(
    "desk_link", js=Path(__file__).with_name("link.js").read_text(encoding="utf-8")
)


def link() -> None:
    """Give whoever sees the page what lets them see pictures, and answer; once in each run."""
    state = st.session_state.get(KEY) or {}
    asked = state.get("asked")
    run, grids = (asked.get("run"), asked.get("grids")) if isinstance(asked, dict) else (0, None)
    data = {
        "address": f"{base()}/ticket",
        "ticket": ticket(),
        "run": run if type(run) is int else 0,
        "tokens": renewed(grids),
        "drawn": time.time_ns(),  # the grids ask the log anew
    }
    _link(key=KEY, data=data, on_asked_change=lambda: None)
