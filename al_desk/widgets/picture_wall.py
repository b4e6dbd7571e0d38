"""A wall of pictures with two lines below each; nothing on it is clicked."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from al_desk.routes.pictures import Shown, address
from al_desk.widgets.scripts import source

_wall = st.components.v2.component(
    "picture_wall",
    js=source("widgets/picture.js", "widgets/picture_wall.js"),
    css=source("widgets/picture.css", "widgets/picture_wall.css"),
)


def picture_wall(
    experiment: int, pictures: Sequence[Shown], captions: Sequence[Sequence[str]], key: str
) -> None:
    """``pictures`` of an experiment, and the two lines below each, shown as they are written.
    ``key`` tells the wall from others on the page, which may show the same."""
    _wall(
        data={
            "address": address(experiment),
            "pictures": [list(one) for one in pictures],
            "captions": [list(lines) for lines in captions],
        },
        key=key,
    )
