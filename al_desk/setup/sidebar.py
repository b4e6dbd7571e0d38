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
from al_desk.widgets.buttons import attempt, button, redraw, tell
from al_desk.widgets.formatting import plain


def choose_experiment(store: Store) -> int | None:
    """Let the person pick an experiment; its id is kept in the page's address."""
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
        on_change=redraw,
    )
    if picked != current:
        show_experiment(picked)
    if current is not None:
        _manage(store, current, known[current])
    _restore(store)
    return current


def show_experiment(experiment_id: int | None) -> None:
    """Open an experiment, or none, and draw the page again."""
    if experiment_id is None:
        st.query_params.pop("experiment", None)
    else:
        st.query_params["experiment"] = str(experiment_id)
    st.rerun()


def labelling_settings(store: Store, experiment_id: int) -> None:
    """How an experiment is labelled; may be changed at any time, in any tab."""
    _setting(
        store,
        experiment_id,
        "strategy",
        "Strategy",
        "Which images to ask about, from the next batch on; each batch records its own.",
        _strategy,
    )
    _setting(
        store,
        experiment_id,
        "show_guesses",
        "Show the model's guesses",
        "Before you label. Off, you label blind, and see afterwards where the model disagrees. "
        "Each round's record says which it was.",
        st.toggle,
    )
    _setting(
        store,
        experiment_id,
        "label_while_training",
        "Label while a round trains",
        "The next batch is chosen by the latest model there is, and you never wait.",
        st.toggle,
    )
    config = ExperimentConfig.from_json(store.experiment(experiment_id).config)
    images = load_images(config.data, config.image_size).result
    if images is not None and can_be_measured(images):
        _setting(
            store,
            experiment_id,
            "reference",
            "Compare with random labels",
            "Trains in the background on as many labels picked at random, by the truth that came "
            "with the images: the grey line beside the curve.",
            st.toggle,
        )


def _strategy(label: str, **how: Any) -> None:
    chosen = st.selectbox(label, list(STRATEGIES), format_func=titled, **how)
    st.caption(STRATEGIES[chosen].help)


def _setting(
    store: Store,
    experiment_id: int,
    name: str,
    label: str,
    note: str,
    widget: Callable[..., object],
) -> None:
    key = f"{name}-{experiment_id}"

    def settings() -> ExperimentConfig:
        return ExperimentConfig.from_json(store.experiment(experiment_id).config)

    def save() -> None:
        changed = {name: st.session_state[key]}
        replace(settings(), **changed)  # raises what is wrong with it
        store.change_config(experiment_id, changed)

    # The log decides what the widget shows: another tab may have changed it.
    st.session_state[key] = getattr(settings(), name)
    widget(label, key=key, help=note, on_change=attempt, args=(key, save))
    tell(key)


def _manage(store: Store, experiment_id: int, name: str) -> None:
    rename, delete = st.columns(2)
    with rename.popover("Rename", icon=":material/edit:", width="stretch"):
        new_name = st.text_input("New name", name, key=f"name-{experiment_id}")
        key = f"name-{experiment_id}"
        button(
            "Save name",
            lambda: store.rename_experiment(experiment_id, st.session_state[key]),
            f"save-{key}",
            disabled=new_name.strip() == name,
        )
    with delete.popover("Delete", icon=":material/delete:", width="stretch"):
        st.write(
            "It stops training and leaves the list. Its labels and weights stay, and it can be "
            "restored."
        )
        act = partial(_delete, store, experiment_id)
        button("Delete experiment", act, f"delete-{experiment_id}", type="primary")


def _restore(store: Store) -> None:
    deleted = store.experiments(deleted=True)
    if deleted:
        with st.expander("Deleted experiments", icon=":material/restore_from_trash:"):
            for record in deleted:
                restore = partial(store.restore_experiment, record.id)
                button(plain(f"Restore “{record.name}”"), restore, f"restore-{record.id}")


def _delete(store: Store, experiment_id: int) -> None:
    trainer().cancel_all(f"experiment {experiment_id},")
    store.delete_experiment(experiment_id)
