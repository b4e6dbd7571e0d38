"""The experiments in the sidebar: choose, rename, delete and restore one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from al_core.files.atomic import remove
from al_core.files.paths import uploads
from al_core.store.records import ExperimentRecord
from al_core.store.store import Store
from al_desk.server.images import look_again
from al_desk.server.resources import trainer
from al_desk.setup.storage import delete_for_good
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import ago, plain


def choose_experiment(store: Store, annotator: str) -> int | None:
    """Let the person choose an experiment; its id is kept in the page's address."""
    gone = {str(record.id): record for record in store.experiments(deleted=True)}
    known = {record.id: record.name for record in store.experiments()}
    wanted = st.query_params.get("experiment", "")
    current = next((number for number in known if str(number) == wanted), None)
    if wanted and current is None and wanted not in gone:
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
        _manage(store, current, known[current], annotator)
    if gone:
        deleted = st.expander(
            "Deleted experiments",
            icon=":material/restore_from_trash:",
            key="deleted",
            on_change=st.rerun,
        )
        with deleted:
            for record in gone.values() if deleted.open else ():
                _restore(store, record, f"restore-{record.id}")
                delete_for_good(store, record)
    return current


def is_open(store: Store) -> bool:
    """Whether the page's address names an experiment that is there."""
    wanted = st.query_params.get("experiment", "")
    return any(str(record.id) == wanted for record in store.experiments())


def say_who_deleted_it(store: Store) -> None:
    """Who deleted the experiment that the page's address names, if somebody has, and the way
    back."""
    wanted = st.query_params.get("experiment", "")
    for record in store.experiments(deleted=True):
        if str(record.id) == wanted and record.deleted_at is not None:
            by = f" by {record.deleted_by}" if record.deleted_by else ""
            told = f"“{record.name}” was deleted{by} {ago(record.deleted_at)}. Its labels are kept."
            st.warning(plain(told), icon=":material/delete:")
            _restore(store, record, "restore-this")


def _restore(store: Store, record: ExperimentRecord, key: str) -> None:
    restore = partial(store.restore_experiment, record.id)
    button(plain(f"Restore “{record.name}”"), restore, key, icon=":material/restore_from_trash:")


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


def _manage(store: Store, experiment_id: int, name: str, annotator: str) -> None:
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
            store.delete_experiment(experiment_id, annotator)
            if upload is not None and st.session_state[forget]:
                remove(upload)
                look_again()

        button("Delete experiment", act, f"delete-{experiment_id}", type="primary")
