"""The experiments in the sidebar: choose, rename, delete and restore one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from al_core.files.atomic import remove
from al_core.files.paths import uploads
from al_core.store.store import Store
from al_desk.server.images import look_again
from al_desk.server.resources import trainer
from al_desk.setup.storage import delete_for_good
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain


def choose_experiment(store: Store) -> int | None:
    """Let the person choose an experiment; its id is kept in the page's address."""
    known = {record.id: record.name for record in store.experiments()}
    wanted = st.query_params.get("experiment", "")
    current = next((number for number in known if str(number) == wanted), None)
    if wanted and current is None:
        st.warning(
            f"There is no experiment number {wanted[:20]} here.", icon=":material/search_off:"
        )
    ids = list(known)
    picked = st.selectbox(
        "Experiment",
        ids,
        index=ids.index(current) if current is not None else None,
        format_func=known.__getitem__,
        placeholder="Start a new one below" if not ids else "Choose one, or start a new one",
        disabled=not ids,
        on_change=st.rerun,
    )
    if picked != current:
        show_experiment(picked)
    if current is not None:
        _manage(store, current, known[current])
    if deleted := store.experiments(deleted=True):
        gone = st.expander(
            "Deleted experiments",
            icon=":material/restore_from_trash:",
            key="deleted",
            on_change=st.rerun,
        )
        with gone:
            for record in deleted if gone.open else ():
                restore = partial(store.restore_experiment, record.id)
                button(plain(f"Restore “{record.name}”"), restore, f"restore-{record.id}")
                delete_for_good(store, record)
    return current


def show_experiment(experiment_id: int | None) -> None:
    """Open an experiment, or none, and redraw the page."""
    if experiment_id is None:
        st.query_params.pop("experiment", None)
    else:
        st.query_params["experiment"] = str(experiment_id)
    st.rerun()


def _upload_of(store: Store, experiment_id: int) -> Path | None:
    """The folder of an upload that this experiment alone uses, also of those that were deleted."""
    found = {
        record.id: Path(str(record.config["data"]))
        for deleted in (False, True)
        for record in store.experiments(deleted)
    }
    folder = found.pop(experiment_id)
    if folder.parent != uploads() or not folder.is_dir():
        return None
    return None if any(folder in (one, *one.parents) for one in found.values()) else folder


def _manage(store: Store, experiment_id: int, name: str) -> None:
    rename, delete = st.columns(2)
    key = f"name-{experiment_id}"
    with rename.popover("Rename", icon=":material/edit:", width="stretch"):
        new_name = st.text_input("New name", name, key=key)
        button(
            "Save name",
            lambda: store.rename_experiment(experiment_id, st.session_state[key]),
            f"save-{key}",
            disabled=new_name.strip() == name,
        )
    with delete.popover("Delete", icon=":material/delete:", width="stretch"):
        st.write(
            "It stops training and disappears from the list. Its labels and weights are kept: it "
            "can be restored, or deleted for good, under “Deleted experiments”."
        )

        upload, forget = _upload_of(store, experiment_id), f"forget-{experiment_id}"
        if upload is not None:
            st.checkbox(
                "And the pictures that were uploaded for it",
                key=forget,
                help=f"The folder “{plain(upload.name)}” on the server. It cannot be restored.",
            )

        def act() -> None:
            trainer().cancel_all(f"experiment {experiment_id},")
            store.delete_experiment(experiment_id)
            if upload is not None and st.session_state[forget]:
                remove(upload)
                look_again()

        button("Delete experiment", act, f"delete-{experiment_id}", type="primary")
