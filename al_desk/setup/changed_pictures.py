"""The question about files that show another picture than they did: the same one, or another?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from al_core.experiment.experiment import Experiment
from al_core.experiment.listed import listed
from al_core.experiment.source import answer_changes
from al_core.images.dataset import Dataset
from al_core.names import counted
from al_core.store.records import POOL, ImageRow
from al_core.store.store import Store
from al_desk.routes.pictures import remembered
from al_desk.widgets.buttons import button
from al_desk.widgets.matters import Matter
from al_desk.widgets.picture_wall import picture_wall

ASKED = 10  # pictures that are asked about at once


def changed_pictures(store: Store, experiment: Experiment, dataset: Dataset) -> list[Matter]:
    """The question, where there is one."""
    asked = experiment.manifest.asked if experiment.manifest else []
    words = f"{counted(len(asked), 'picture')} changed"
    return [Matter(words, partial(_ask, store, experiment, dataset, asked), True)] if asked else []


def _ask(store: Store, experiment: Experiment, dataset: Dataset, asked: list[ImageRow]) -> None:
    by_name = {name: one for one in listed(dataset.base or dataset) for name in one.names}
    st.markdown(
        f"Files that show another picture than before: {len(asked):,}. Is it the same one, "
        "changed, or another? Until you say so, nothing is learned from their labels."
    )
    if len(asked) > 1:
        _answers(store, experiment, dataset, asked, ("All are the same", "All are others"))
    for row in asked[:ASKED]:
        images = dataset.train if row.split == POOL else dataset.test
        pictures, captions = [remembered(images, row.position)], [("Before", row.key)]
        if one := by_name.get(row.key):
            pictures.append((one.digest, one.width, one.height, ""))
            captions.append(("Now", row.key))
        with st.container(border=True):
            key = f"changed-{experiment.id}-{row.split}-{row.position}"
            picture_wall(experiment.id, pictures, captions, key)
            _answers(store, experiment, dataset, [row], ("The same picture", "Another picture"))
    if len(asked) > ASKED:
        st.caption(f"And {len(asked) - ASKED:,} more, once these are answered.")


def _answers(
    store: Store,
    experiment: Experiment,
    dataset: Dataset,
    rows: Sequence[ImageRow],
    labels: tuple[str, str],
) -> None:
    """Two buttons: these files show the same pictures as before, or others."""
    places = [row.place for row in rows]
    with st.container(horizontal=True):
        for same, label in zip((True, False), labels, strict=True):

            def act(same: bool = same) -> None:
                answer_changes(store, experiment.id, dataset, places, same)

            button(label, act, f"{label}: {rows[0].split} {rows[0].position}")
