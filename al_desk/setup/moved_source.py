"""Images that are not where they were: their new path."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from al_core.config import ExperimentConfig
from al_core.errors import ActiveLearningError
from al_core.experiment.experiment import Experiment
from al_core.experiment.moved import move
from al_core.files.paths import located
from al_core.jobs import JobState
from al_core.store.store import Store
from al_desk.server.images import load_images
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import show_error
from al_desk.widgets.job_progress import watch


def offer_to_move(store: Store, experiment: Experiment) -> None:
    """Ask for the new path of images that are not where they were."""
    if experiment.manifest is None:
        return
    key = f"moved-{experiment.id}"
    st.text_input("New path", key=f"{key}-path", help="Where the folder of these images is now.")

    def look_there() -> None:
        if path := st.session_state[f"{key}-path"].strip():
            st.session_state[key] = path
            load_images(_at(experiment, path), fresh=True, moved_from=experiment.config.data)

    button("Look there", look_there, icon=":material/drive_file_move:")
    if key not in st.session_state:
        return
    moved_to = _at(experiment, st.session_state[key])
    job = load_images(moved_to, moved_from=experiment.config.data)
    if job.active:
        watch(job, f"Reading the images of “{st.session_state[key]}”")
    elif job.state is JobState.DONE:
        try:
            found = move(store, experiment.id, job.result)
        except ActiveLearningError as error:
            show_error(error)
        else:
            del st.session_state[key]
            st.session_state[f"found-by-move-{experiment.id}"] = found
            st.rerun()
    else:
        show_error(job.error or "Reading the images was cancelled.")


def _at(experiment: Experiment, path: str) -> ExperimentConfig:
    return replace(experiment.config, data=str(located(path)))
