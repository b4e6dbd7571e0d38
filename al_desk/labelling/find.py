"""Finding images by words, or by a picture like them: what is found can be labelled at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import streamlit as st

from al_core.config import ModelConfig
from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import load_predictions
from al_core.jobs import JobState
from al_core.names import counted
from al_core.progress import Work
from al_core.sources.formats import ENDINGS
from al_desk.context import DeskContext
from al_desk.grid.label_grid import label_grid
from al_desk.grid.tiles import Guesses, frame_of, grid_of
from al_desk.server.resources import loaded, loader
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import errors_shown, plain, show_error, show_info
from al_desk.widgets.job_progress import watch

if TYPE_CHECKING:
    from al_core.loop.search import Found

PAGE = 60  # images shown at once
LONGEST = 300  # characters; encoders read no more
# Session state: what is shown, so that it stays while it is labelled; what is looked for by; words.
STATE, BY, KEPT = "found", "found-by", "found-words"


@dataclass(frozen=True, slots=True)
class Shown:
    """What was found for a query, by its ``key``: a sentence about it, and the images."""

    key: str
    words: str
    images: Sequence[int]


@st.fragment
@errors_shown()
def find(context: DeskContext) -> None:
    """A box for words, one for a picture, and the grid of what was found by the last of the two."""
    no_words, no_picture = _lacks(context.experiment.config.model)
    left, right = st.columns(2, vertical_alignment="top")
    # Streamlit forgets a field that is not on the page; who comes back finds it as it was.
    st.session_state.setdefault("find-words", st.session_state.get(KEPT, ""))
    text = left.text_input(
        "In words",
        placeholder="a red tractor in snow",
        max_chars=LONGEST,
        disabled=bool(no_words),
        key="find-words",
        on_change=_look_by,
        args=("words",),
        help="The encoder compares what you write with each picture: whole phrases do best.",
    ).strip()
    st.session_state[KEPT] = text
    labelled = left.toggle("Also those with labels", key="find-labelled")
    file = right.file_uploader(
        "By a picture like them",
        [*ENDINGS],
        disabled=bool(no_picture),
        key="find-picture",
        on_change=_look_by,
        args=("picture",),
    )
    for sentence in dict.fromkeys(filter(None, (no_words, no_picture))):
        show_info(sentence)
    if file is not None and not no_picture and (st.session_state.get(BY) == "picture" or not text):
        _results(context, file.getvalue(), labelled)
    elif text and not no_words:
        _results(context, text, labelled)


def _look_by(what: str) -> None:
    st.session_state[BY] = what


def _lacks(model: ModelConfig) -> tuple[str, str]:
    """What it takes to find images by words, and by a picture, where that cannot be done."""
    if model.embeddings:
        needed = (
            "Images are found by an encoder, which embeds what you look for; embeddings that were "
            "brought say nothing about other pictures."
        )
        return needed, needed
    if model.head != "linear":
        needed = (
            "To find images, choose an encoder under *More settings* in the sidebar, as *Weights "
            "to start from*: your labels stay."
        )
        return needed, needed
    if model.knows_words:
        return "", ""
    return (
        "To find images by words, choose an encoder that knows words, like CLIP, under *More "
        "settings* in the sidebar: your labels stay. It needs `pip install -r "
        "requirements-text.txt`.",
        "",
    )


def _results(context: DeskContext, query: str | bytes, labelled: bool) -> None:
    experiment = context.experiment
    of = query if isinstance(query, bytes) else query.encode()
    digest = blake2b(of, digest_size=8).hexdigest()
    by = experiment.config.model.weights
    key = f"find in {experiment.id} by {by} {type(query).__name__} {digest} {labelled}"
    shown: Shown | None = st.session_state.get(STATE)
    if shown is None or shown.key != key:
        job = loaded(key, lambda: _find(context, query, labelled))
        if job.active:
            watch(job, "Looking for images")
            return
        loader().forget(key)  # the next time, others may have labels
        if job.state is not JobState.DONE:
            show_error(job.error or "Looking for images was cancelled.")
            return
        shown = Shown(key, _in_words(job.result, query), job.result.images.tolist())
        st.session_state[STATE] = shown
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(shown.words)
        button("Look again", leave_find, key="find-again", icon=":material/refresh:",
               help="Leaves out what has a label by now.")  # fmt: skip
    if not shown.images:
        return
    page = 0
    if len(shown.images) > PAGE:
        page = st.pagination(-(-len(shown.images) // PAGE), key=f"page-{key}") - 1
    images = shown.images[PAGE * page : PAGE * (page + 1)]
    hidden = replace(grid_of(context, "review"), guess_shown=experiment.config.show_guesses)
    label_grid(frame_of(context, hidden, images, _guesses(experiment, images)))


def leave_find() -> None:
    """Have the next search look at the pool again."""
    st.session_state.pop(STATE, None)


def _find(context: DeskContext, query: str | bytes, labelled: bool) -> Work[Found]:
    from al_core.loop.search import find_images
    from al_core.models.hardware import find_hardware

    experiment = context.reread()
    return (yield from find_images(experiment, context.dataset, find_hardware(), query, labelled))


def _in_words(found: Found, query: str | bytes) -> str:
    like = "that picture" if isinstance(query, bytes) else f"“{plain(query)}”"
    if not len(found.images):
        return "No image is left to find." if not found.many else "No image was looked at yet."
    words = f"{counted(len(found.images), 'image')}, those most like {like} first."
    if found.looked_at < found.many:
        words += f" Of {found.many:,}, {found.looked_at:,} were looked at so far."
    return words


def _guesses(experiment: Experiment, images: Sequence[int]) -> Guesses:
    """What the latest model says of images."""
    predictions = load_predictions(experiment.folder, experiment.next_round - 1)
    if predictions is None or not predictions.tells_classes:
        return {}
    known = predictions.known_to(experiment)
    probs = predictions.by_classes_of(experiment).probs
    there = [image for image in images if known[image]]
    return {image: (int(probs[image].argmax()), float(probs[image].max())) for image in there}
