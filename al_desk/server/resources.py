"""What all tabs of one server share: the store, the workers, which tabs are open.

Work that needs torch imports it within its own function, in a worker's thread: it takes seconds.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from al_core.errors import StoreError
from al_core.experiment.presence import Presence
from al_core.files.paths import database_address
from al_core.jobs import Job, Worker
from al_core.progress import Work
from al_core.store.store import Store


def open_store() -> Store:
    """The database; raises StoreError while it cannot be opened, and tries again each time."""
    return _open_store(database_address())


# Not of Streamlit, whose cache takes a third of a millisecond: each label asks twice.
@lru_cache(1)
def _open_store(url: str) -> Store:
    return Store(url)


@st.fragment(run_every=2.0)
def redraw_when_it_answers() -> None:
    """Try the database until it can be read, then redraw the page."""
    with suppress(StoreError):
        open_store().experiments()
        st.rerun()


def warm_up() -> None:
    """Import torch while the person looks at the first images: it takes seconds, which choosing the
    next batch should not have to wait for."""
    if "torch" not in sys.modules:
        loader().submit("torch", _import_torch)


def _import_torch() -> Work[None]:
    import al_core.loop.advance  # noqa: F401

    yield from ()
    # It stays for good: half a million objects, at which a collection would look for a quarter of a
    # second after each round, and nobody else can run meanwhile.
    gc.collect()
    gc.freeze()


def this_tab() -> str:
    """The name under which this browser tab holds its batch."""
    context = get_script_run_ctx()
    assert context is not None
    return f"{_presence().server}/{context.session_id}"


def is_gone(holder: str) -> bool:
    """Whether the tab that held a batch was closed, or its server has ended."""
    server, _, session = holder.partition("/")
    if server == _presence().server:
        return not Runtime.instance().is_active_session(session)
    return _presence().is_gone(server)


@st.cache_resource(show_spinner=False)
def _presence() -> Presence:
    return Presence(open_store())


@st.cache_resource(show_spinner=False)
def trainer() -> Worker:
    """Runs the rounds of all experiments, one after another, since there is one device."""
    return Worker(afterwards=_collect_garbage)


def _collect_garbage() -> None:
    """Networks and their optimisers form cycles. Streamlit would collect them after each run, but
    is told not to (``.streamlit/config.toml``)."""
    gc.collect()


@st.cache_resource(show_spinner=False)
def loader() -> Worker:
    """Reads images, which needs no device; a slow download does not hold up anybody else."""
    return Worker(side_by_side=True)


def loaded(key: str, work: Callable[[], Work[Any]], fresh: bool = False, wait: bool = True) -> Job:
    """The job of the loader with this key, begun if need be; ``fresh``: or again."""
    job = loader().job(key)
    if job is None or (fresh and not job.active):
        job = loader().submit(key, work)
        job.wait(1.5 * wait)  # what is cached is there at once, and the page need not flicker
    return job
