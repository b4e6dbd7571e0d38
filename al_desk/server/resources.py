"""What all tabs of one server share: the store, the workers, the images, which tabs are open.

Work that needs torch imports it within its own function, in a worker's thread: it takes seconds.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from al_core.config import LEARNED
from al_core.errors import StoreError
from al_core.experiment.presence import Presence
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.jobs import Job, Worker
from al_core.progress import Work
from al_core.store.store import Store


def open_store() -> Store:
    """The database; raises StoreError while it cannot be opened, and tries again each time."""
    return _open_store(os.environ.get("AL_DATABASE_URL") or f"sqlite:///{home() / 'al.db'}")


@st.cache_resource(show_spinner=False)
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
    """Networks and their optimisers form cycles. Streamlit would collect them after each label, but
    is told not to (``.streamlit/config.toml``)."""
    gc.collect()


@st.cache_resource(show_spinner=False)
def loader() -> Worker:
    """Reads images, which needs no device; a slow download does not hold up anybody else."""
    return Worker(side_by_side=True)


def images_key(source: str, image_size: int) -> str:
    """The key of the job that loads a source."""
    return f"{source} at {image_size}"


def load_images(source: str, image_size: int, fresh: bool = False) -> Job:
    """The job that loads a source, or has loaded it; its result is a Dataset.

    ``fresh`` reads the source again, whatever was loaded before.
    """
    return _loaded(
        images_key(source, image_size),
        lambda: load(source, image_size=image_size, cache_dir=home() / "cache"),
        fresh,
    )


def open_weights(weights: str, fresh: bool = False) -> Job:
    """The same for weights to start from, which fit if it ends well; those that have yet to be
    learned do."""

    def work() -> Work[None]:
        if weights not in ("none", LEARNED):
            from al_core.models.weights import pretrained_weights

            yield from pretrained_weights(weights, "")

    return _loaded(f"weights {weights}", work, fresh)


def _loaded(key: str, work: Callable[[], Work[Any]], fresh: bool) -> Job:
    job = loader().job(key)
    if job is None or (fresh and not job.active):
        job = loader().submit(key, work)
        job.wait(1.5)  # what is cached is there at once, and the page need not flicker
    return job
