"""The sidebar: start, reopen, rename and delete experiments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from al_core.config import ExperimentConfig
from al_core.simulation.random_baseline import can_be_measured
from al_core.store.store import Store
from al_core.strategies.registry import STRATEGIES, titled
from al_desk.server.resources import load_images, trainer
from al_desk.setup.training_settings import training_settings
from al_desk.widgets.buttons import attempt, button, tell
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
        with st.expander("Deleted experiments", icon=":material/restore_from_trash:"):
            for record in deleted:
                restore = partial(store.restore_experiment, record.id)
                button(plain(f"Restore “{record.name}”"), restore, f"restore-{record.id}")
    return current


def show_experiment(experiment_id: int | None) -> None:
    """Open an experiment, or none, and redraw the page."""
    if experiment_id is None:
        st.query_params.pop("experiment", None)
    else:
        st.query_params["experiment"] = str(experiment_id)
    st.rerun()


def labelling_settings(store: Store, experiment_id: int) -> None:
    """How an experiment is labelled; can be changed at any time, in any tab."""
    config = ExperimentConfig.from_json(store.experiment(experiment_id).config)
    images = load_images(config.data, config.image_size).result
    for name in SETTINGS:
        if name != "random_baseline" or (images is not None and can_be_measured(images)):
            _setting(store, experiment_id, name)
    more = st.expander(
        "More settings",
        icon=":material/tune:",
        key=f"more-{experiment_id}",
        on_change=st.rerun,
    )
    if more.open:  # while it is closed, its many fields need not be sent
        with more:
            training_settings(store, experiment_id, "sidebar")


def _strategy(label: str, **how: Any) -> None:
    chosen = st.selectbox(label, list(STRATEGIES), format_func=titled, **how)
    st.caption(STRATEGIES[chosen].help)


# Of each setting the label, the help, and the widget.
SETTINGS: dict[str, tuple[str, str, Callable[..., object]]] = {
    "strategy": (
        "Strategy",
        "Which images to ask about, from the next batch on; each batch records its own.",
        _strategy,
    ),
    "show_guesses": (
        "Show the model's guesses",
        "Before you label. If off, you label blind, and see afterwards where the model disagrees. "
        "Each round records which it was.",
        st.toggle,
    ),
    "label_while_training": (
        "Label while a round trains",
        "The next batch is chosen by the latest model there is, and you never wait.",
        st.toggle,
    ),
    "random_baseline": (
        "Compare with random labels",
        "Trains a random baseline in the background: as many labels, chosen at random, with the "
        "classes that came with the images. It is the grey curve beside yours.",
        st.toggle,
    ),
}


def _setting(store: Store, experiment_id: int, name: str) -> None:
    label, note, widget = SETTINGS[name]
    key = f"{name}-{experiment_id}"

    def settings() -> ExperimentConfig:
        return ExperimentConfig.from_json(store.experiment(experiment_id).config)

    def save() -> None:
        changed = {name: st.session_state[key]}
        replace(settings(), **changed)  # raises if there is something wrong with it
        store.change_config(experiment_id, changed)

    # The log decides what the widget shows: another tab may have changed it.
    st.session_state[key] = getattr(settings(), name)
    widget(label, key=key, help=note, on_change=attempt, args=(key, save))
    tell(key)


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
            "It stops training and disappears from the list. Its labels and weights are kept, and "
            "it can be restored."
        )

        def act() -> None:
            trainer().cancel_all(f"experiment {experiment_id},")
            store.delete_experiment(experiment_id)

        button("Delete experiment", act, f"delete-{experiment_id}", type="primary")
