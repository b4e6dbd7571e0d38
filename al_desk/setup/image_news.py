"""What there is to tell about an experiment's images: one line above the batch."""

from __future__ import annotations

import streamlit as st

from al_core.experiment.changes import changes_since, in_words
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.images.dataset import Dataset, has_files
from al_core.store.store import Store
from al_desk.server.images import load_images
from al_desk.setup.changed_pictures import changed_pictures
from al_desk.setup.copies import copies
from al_desk.setup.source_changes import changes_were_shown, source_changes
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain
from al_desk.widgets.matters import behind_words


def image_news(store: Store, experiment: Experiment, dataset: Dataset) -> None:
    """What a person has to answer, what there is to know, and a button that looks again."""
    told_key, looked_at = (f"{what}-{experiment.id}" for what in ("told", "looked-at"))
    if not st.session_state.get(told_key) and looked_at in st.session_state:  # it was closed
        changes_were_shown(store, experiment, st.session_state.pop(looked_at))
    matters = [
        *changed_pictures(store, experiment, dataset),
        *source_changes(store, experiment, dataset),
        *copies(store, experiment, dataset),
    ]
    asked = [matter for matter in matters if matter.asks]
    told = [matter for matter in matters if not matter.asks]
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        behind_words(asked, f"asked-{experiment.id}", "**answer**", ":material/help:")
        if behind_words(told, told_key, "show") and experiment.manifest is not None:
            st.session_state[looked_at] = len(experiment.manifest.rows)
        if experiment.manifest is not None and has_files(dataset):
            _look_for_new(store, experiment)


def _look_for_new(store: Store, experiment: Experiment) -> None:
    """A button that has the source read again; what was found is said for a moment, as is what a
    move has found."""
    before, moved = (f"{what}-{experiment.id}" for what in ("images-before-look", "found-by-move"))
    assert experiment.manifest is not None
    if (rows := st.session_state.pop(before, None)) is not None:
        found = in_words(changes_since(experiment.manifest, rows))
        st.toast(f"Found: {found}." if found else "Nothing has changed in the folder.")
    if moved in st.session_state:
        st.toast(plain(st.session_state.pop(moved)), duration="long")

    def look_again() -> None:
        there = open_experiment(store, experiment.id).manifest
        load_images(experiment.config, fresh=True)
        st.session_state[before] = len(there.rows) if there else 0

    button("Look for new images", look_again, icon=":material/sync:", type="tertiary")
