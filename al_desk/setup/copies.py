"""Pictures that a source holds more than once, or nearly: shown beside each other; and whether
those measure of which there is a copy to train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.settings import change_settings
from al_core.images.dataset import Dataset, identities
from al_core.images.near_copies import leaking, number_of_tests
from al_core.names import counted
from al_core.store.store import Store
from al_desk.routes.pictures import shown
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain
from al_desk.widgets.matters import Matter
from al_desk.widgets.picture_wall import picture_wall

GROUPS = 10  # that are shown at once
MOST = 12  # pictures of a group


def copies(store: Store, experiment: Experiment, dataset: Dataset) -> Iterator[Matter]:
    """The question, until it was answered with yes, and the groups."""
    base = dataset.base or dataset
    leaks = len(leaking(dataset))
    asks = bool(leaks) and not experiment.config.copies_measure
    if leaks:
        words = counted(leaks, "test copy", "test copies")
        draw = partial(_ask, store, experiment, dataset, leaks)
        yield Matter(words if asks else f"{words} measured", draw, asks)
    for title, few, groups in (
        ("The same picture more than once", "with copies", base.copies),
        ("Nearly the same picture more than once", "with near-copies", base.near_copies),
    ):
        if groups:
            draw = partial(_groups, experiment, dataset, title, groups)
            yield Matter("" if leaks else f"{len(groups):,} {few}", draw, asks)


def _groups(
    experiment: Experiment, dataset: Dataset, title: str, groups: Sequence[Sequence[str]]
) -> None:
    base = dataset.base or dataset
    st.markdown(f"**{title}: {len(groups):,}**")
    last = -(-len(groups) // GROUPS)
    page = st.number_input("Page", 1, last, key=f"{title}-{experiment.id}") if last > 1 else 1
    of_pool, of_test = (identities(images).tolist() for images in dataset.splits)
    trained = {one for i, one in enumerate(of_pool) if i not in dataset.drawn}
    tested = {*of_test, *(of_pool[i] for i in dataset.drawn)}
    sets = [*base.splits, *([base.disputed] if base.disputed is not None else [])]
    place = {name: (images, row) for images in sets for row, name in enumerate(images.keys)}

    def side(name: str) -> str:
        images, row = place[name]
        which = identities(images)[row].tobytes()
        # A table may hold the same bytes in both parts.
        if which in tested and (images is base.test or which not in trained):
            return "to test with"
        return "to train on" if which in trained else "left out"

    # Those come first that the page asks about.
    groups = sorted(groups, key=lambda g: len({side(n) for n in g if n in place}) < 2)
    for group in groups[GROUPS * (page - 1) : GROUPS * page]:
        pictures, captions = [], []
        for name in group[:MOST]:
            # Of files with the same bytes one is an image; the others are names alone.
            if name in place:
                images, row = place[name]
                pictures += shown(images, [row])
                captions.append([name, side(name)])
            elif captions:
                captions[-1].append(f"= {name}")
        with st.container(border=True):
            if pictures:
                key = f"{title}-{experiment.id}-{group[0]}"
                picture_wall(experiment.id, pictures, captions, key)
            else:  # rows to test with that have no class
                st.markdown(f"{plain(' = '.join(group[:MOST]))}: left out")
            if len(group) > MOST:
                st.caption(f"And {len(group) - MOST:,} more.")


def _ask(store: Store, experiment: Experiment, dataset: Dataset, leaks: int) -> None:
    measure = experiment.config.copies_measure

    def answer() -> None:
        now = open_experiment(store, experiment.id)
        change_settings(store, now, replace(now.config, copies_measure=not measure))

    if measure:
        what = (
            "They measure: as in published figures, what a network remembers counts as what it "
            "can do."
        )
    else:
        what = (
            "They would measure what a network remembers, and measure nothing unless you want them "
            "to, as published figures do."
        )
    st.markdown(
        "Test images that show, or nearly show, what an image to train on shows: "
        f"{leaks:,} of {number_of_tests(dataset):,}. {what}"
    )
    label = "Leave them out" if measure else "Let them measure"
    button(label, answer, icon=":material/content_copy:")
    if len({r.log_position.settings.get("copies_measure", True)
            for r in experiment.rounds if r.log_position}) > 1:  # fmt: skip
        st.caption("Some rounds were measured with them and others without: compare those alike.")
