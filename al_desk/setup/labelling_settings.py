"""How an experiment is labelled: what can be changed at any time, in any tab."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from al_core.config import ExperimentConfig
from al_core.simulation.random_baseline import can_be_measured
from al_core.store.store import Store
from al_core.strategies.registry import STRATEGIES, titled
from al_desk.server.images import load_images
from al_desk.setup.training_settings import training_settings
from al_desk.widgets.buttons import attempt, tell


def labelling_settings(store: Store, experiment_id: int) -> None:
    """How an experiment is labelled; can be changed at any time, in any tab."""
    config = ExperimentConfig.from_json(store.experiment(experiment_id).config)
    images = load_images(config).result
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
