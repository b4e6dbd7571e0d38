"""What lies on the disk: shown, cleaned; and experiments deleted for good."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.files.paths import uploads
from al_core.jobs import JobState
from al_core.names import counted, in_bytes
from al_core.progress import Work
from al_core.storage.clean import GB, clean, limit_in_bytes
from al_core.storage.forget import forget
from al_core.storage.kept import CACHES, KINDS, PER_EXPERIMENT, Storage, glance
from al_core.store.records import ExperimentRecord
from al_core.store.store import Store
from al_desk.server.images import images_key, look_again
from al_desk.server.resources import loaded, loader, trainer
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import errors_shown, plain, show_error
from al_desk.widgets.job_progress import watch

LOOK, CLEAN = "storage", "clean storage"  # the keys of two jobs


def storage(store: Store) -> None:
    """An expander in the sidebar; what it shows is looked for each time that it is opened."""

    def toggled() -> None:
        loader().forget(LOOK)
        st.rerun()

    shown = st.expander("Storage", icon=":material/hard_drive:", key="storage", on_change=toggled)
    if shown.open:
        with shown:
            _storage(store)


@errors_shown()
def _storage(store: Store) -> None:
    cleaning = loader().job(CLEAN)
    if cleaning is not None and cleaning.active:
        watch(cleaning, "Cleaning", brief=True)
        return
    job = loaded(LOOK, lambda: glance(store))
    if job.active:
        watch(job, "Looking", brief=True)
        return
    if job.state is not JobState.DONE:
        show_error(job.error or "Looking at the disk was cancelled.")
    else:
        _tables(job.result)
    default = limit_in_bytes()
    limit = st.number_input(
        "Caches may take, GB",
        min_value=0.0,
        value=None if default is None else default / GB,
        placeholder="any size",
        key="cache-limit",
        help="Cleaning removes what no experiment uses, also none that can be restored. Down to "
        "this limit it removes as well what was not used for longest and can be computed again: "
        "decoded images, features, thumbnails. AL_CACHE_GB sets it for good.",
    )

    def begin() -> None:
        most = None if limit is None else limit * GB
        loader().submit(CLEAN, lambda: clean(store, most))
        loader().forget(LOOK)

    button("Clean", begin, icon=":material/mop:")
    if cleaning is not None and cleaning.state is JobState.DONE:
        done = cleaning.result
        st.caption(f"{in_bytes(done.removed)} removed; caches take {in_bytes(done.left)}.")
    elif cleaning is not None and cleaning.error:
        show_error(cleaning.error)


def _tables(there: Storage) -> None:
    sizes = {kind: in_bytes(there.size(kind)) for kind in KINDS if there.size(kind)}
    st.dataframe({"What": [*sizes], "Size": [*sizes.values()]}, hide_index=True)
    if unused := sum(map(there.unused, CACHES)):
        st.caption(f"{in_bytes(unused)} of the caches are used by no experiment.")
    if there.records:
        own = [sum(there.size(kind, one.id) for kind in PER_EXPERIMENT) for one in there.records]
        names = [one.name + " (deleted)" * (one.deleted_at is not None) for one in there.records]
        st.dataframe({"Experiment": names, "Size": [*map(in_bytes, own)]}, hide_index=True)


def delete_for_good(store: Store, record: ExperimentRecord) -> None:
    """A button that says what goes, and removes a deleted experiment with all that is its own."""
    number, key = record.id, f"forget-{record.id}"
    job = loader().job(key)
    if job is not None and job.active:
        watch(job, f"Deleting “{record.name}”", brief=True)
        return
    with st.popover("Delete for good", icon=":material/delete_forever:", key=f"popover-{number}"):
        is_upload = uploads() in Path(str(record.config["data"])).parents
        pictures = (
            "The pictures that were uploaded for it go, unless another uses them."
            if is_upload
            else "Its pictures are not touched."
        )
        answers = counted(len(store.log(number)), "answer")
        st.write(
            plain(
                f"This removes “{record.name}” from the disk: {answers}, its batches and rounds, "
                "its models and predictions, also from the backups beside the database; and of "
                "thumbnails, features, decoded images and simulations what no other experiment "
                f"uses. {pictures} Nothing brings it back."
            )
        )

        def act() -> None:
            trainer().cancel_all(f"experiment {number},")
            loader().submit(key, lambda: _forget(store, record))

        button(f"Delete “{plain(record.name)}” for good", act, key, type="primary")
    if job is not None and job.error:
        show_error(job.error)


def _forget(store: Store, record: ExperimentRecord) -> Work[int]:
    """Forget an experiment, and what this server has of it in memory."""
    try:
        config = ExperimentConfig.from_json(record.config)
        loader().forget(images_key(config))  # files that are mapped keep their place on the disk
    except ConfigError:
        pass  # a damaged one has none
    for worker in (loader(), trainer()):
        worker.forget(f"experiment {record.id},")
    removed = yield from forget(store, record.id)
    look_again()
    loader().forget(LOOK)
    return removed
