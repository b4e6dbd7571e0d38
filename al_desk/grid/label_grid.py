"""The labelling grid: a batch of images in; what a person does with them goes to the log by a route
of its own (see :mod:`al_desk.routes.labels`), and so does what the log says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from al_desk.routes.grids import Grid, name_of, token_of
from al_desk.routes.labels import labels_address
from al_desk.routes.pictures import Shown
from al_desk.routes.why import why_address
from al_desk.widgets.scripts import source

SCRIPTS = (
    "elements journal acts legend head tiles layout light stage large why keyboard selection "
    "class_list label_grid"
)
_grid = st.components.v2.component(
    "label_grid",
    js=source("widgets/picture.js", *(f"grid/{name}.js" for name in SCRIPTS.split())),
    css=source(
        "widgets/picture.css",
        *(f"grid/{name}.css" for name in ("head", "tiles", "large", "panels")),
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What a grid shows; their labels the browser asks the log for.

    ``grid`` says what is asked, and who answers. ``images`` are positions in the training set,
    ``pictures`` one for each; the browser asks for ``address/name/thumbnail``, or ``/original``;
    ``names`` are those of their files. ``class_names`` are those of all classes by their numbers,
    ``class_keys`` the keys on which somebody put them, and ``shown`` the numbers of those that can
    be given, in their order. ``guesses`` are the model's classes and their probabilities, each
    shown once its tile has a different label, or from the start if the grid says so; ``truths`` are
    shown below the pictures, for demonstrations. ``holder``: who labels the batch (see
    :func:`al_desk.routes.answers.tab_name`). ``focus``: an image to go to, and a number that grows
    with each such request. ``ahead`` are the pictures of the batch that is likely to be next: they
    are asked for while this one is labelled.
    """

    grid: Grid
    images: Sequence[int]
    address: str
    pictures: Sequence[Shown]
    names: Sequence[str]
    class_names: Sequence[str]
    class_keys: Sequence[str]
    shown: Sequence[int]
    guesses: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    truths: Mapping[int, int] = field(default_factory=dict)
    holder: str = ""
    focus: tuple[int, int] | None = None
    ahead: Sequence[Shown] = ()


def label_grid(frame: Frame) -> None:
    """Draw the grid; each batch, and each list of images, has one of its own."""
    if not frame.images:
        return
    grid = frame.grid
    of = grid.batch or hash(tuple(frame.images))
    key = f"grid-{grid.experiment}-{grid.kind}-{of}"
    _grid(key=key, data=_as_json(frame, key))


def _as_json(frame: Frame, key: str) -> dict[str, Any]:
    images = [int(image) for image in frame.images]
    return {
        "key": key,
        "experiment": frame.grid.experiment,
        "annotator": frame.grid.annotator,
        "grid": name_of(frame.grid),
        "token": token_of(frame.grid),
        "labels": labels_address(),
        "why": why_address(),
        "review": frame.grid.kind != "batch",
        "wall": frame.grid.kind == "accept",
        "show": frame.grid.guess_shown,
        "address": frame.address,
        "pictures": [list(picture) for picture in frame.pictures],
        "names": [str(name) for name in frame.names],
        "classes": [str(name) for name in frame.class_names],
        "keys": [*frame.class_keys],
        "shown": [int(number) for number in frame.shown],
        "images": images,
        "guesses": [g and [int(g[0]), round(100 * g[1])] for g in map(frame.guesses.get, images)],
        "truths": [frame.truths.get(image) for image in images],
        "holder": frame.holder,
        "focus": frame.focus,
        "ahead": [list(picture) for picture in frame.ahead if not picture[3]],
    }
