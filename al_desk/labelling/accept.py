"""Finishing the pool: the guesses for a class, looked at as a wall, and accepted in one act."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from al_core.experiment.accept import accept
from al_core.experiment.experiment import Experiment
from al_core.experiment.predictions import load_predictions
from al_core.names import counted
from al_core.store.records import Acceptance
from al_desk.context import DeskContext
from al_desk.grid.label_grid import label_grid
from al_desk.grid.tiles import frame_of, grid_of
from al_desk.labelling.certificate import show_certificate
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import errors_shown, plain, show_info

PAGE = 200  # images shown at once
# Session state: what is offered, so that it stays while some is taken out; and its order.
STATE, KINDS = "accept", "accept-kinds"
ORDERS = ("Surest first", "By kind")  # those that look alike beside each other


@dataclass(frozen=True, slots=True)
class Offer:
    """The images that the latest model takes for a class, the surest first, and how sure it is."""

    model: int
    label: int
    images: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def above(self, threshold: float) -> Offer:
        """Those of which it is at least so sure."""
        count = int((self.probabilities >= threshold - 1e-6).sum())  # which are in single precision
        return replace(self, images=self.images[:count], probabilities=self.probabilities[:count])

    def suggested(self, target: float) -> float:
        """The threshold from which on a share ``target`` is right, if the model is as often right
        as it says; else that of its surest guess. In whole per cent."""
        so_far = np.cumsum(self.probabilities) / np.arange(1, len(self.probabilities) + 1)
        enough = np.flatnonzero(so_far >= target)
        last = self.probabilities[enough[-1] if len(enough) else 0]
        return float(np.floor(100 * last) / 100)


@st.fragment
@errors_shown()
def accept_guesses(context: DeskContext) -> None:
    """The certificate; then a class, a threshold, the wall, and the button that accepts it."""
    experiment = context.reread()
    show_certificate(context, experiment)
    offers = _offers(experiment)
    if offers is None:
        show_info("Once a model has learned from your labels, its guesses can be accepted here.")
        return
    if not offers:
        show_info("Nothing is left to accept: all images have a class, or are being asked about.")
        return
    names = experiment.classes.names
    # After each act the fields begin anew: with the class of which the most is left.
    begun_from = f"{experiment.id}-{len(experiment.rounds)}-{len(experiment.acceptances)}"
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    label = left.selectbox(
        "Class",
        list(offers),
        format_func=lambda one: f"{names[one]} · {len(offers[one].images):,}",
        key=f"accept-class-{begun_from}",
    )
    offer = offers[label]
    first = round(100 * offer.suggested(experiment.config.target))
    lowest = int(100 * offer.probabilities[-1])
    threshold = first
    if lowest < 100:
        threshold = right.slider(
            "At least so sure, %",
            lowest,
            100,
            first,
            key=f"accept-at-{begun_from}-{label}",
            help="The model's probability of this class, calibrated on labels that it has not "
            "learned from. It begins where as many are likely to be right as you want.",
        )
    offer = offer.above(threshold / 100)
    if not len(offer.images):
        show_info("Of none is it so sure: move the threshold.")
        return
    expected = math.floor(100 * float(offer.probabilities.mean())) / 100
    st.caption(
        f"**{counted(len(offer.images), 'image')}**, about {expected:.0%} right, by what the model "
        "says. Click what does not belong, or give it its class: the rest is accepted"
        f"{', also on the other pages' * (len(offer.images) > PAGE)}."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        order = st.segmented_control(
            "Order", ORDERS, default=ORDERS[0], required=True, key=f"accept-order-{experiment.id}",
            label_visibility="collapsed",
        )  # fmt: skip
        button(
            f"Accept as “{plain(names[label])}”",
            lambda: _accept(context, offer, threshold / 100),
            key=f"accept-{experiment.id}",
            type="primary",
            icon=":material/done_all:",
        )
    page = 0
    if len(offer.images) > PAGE:
        pages = -(-len(offer.images) // PAGE)
        page = st.pagination(pages, key=f"accept-page-{label}-{threshold}") - 1
    shown = offer.images if order == ORDERS[0] else _by_kind(experiment, offer)
    images = shown[PAGE * page : PAGE * (page + 1)].tolist()
    label_grid(frame_of(context, grid_of(context, "accept"), images, {}))


def leave_accept() -> None:
    """Have the next visit look at the pool again."""
    st.session_state.pop(STATE, None)


def _accept(context: DeskContext, offer: Offer, threshold: float) -> str:
    wanted = Acceptance(
        offer.images.tolist(), offer.label, offer.model, threshold, context.annotator,
        event=f"button:{uuid4().hex}", keys=_keys(context, offer.images),
    )  # fmt: skip
    count = accept(context.store, context.experiment.id, wanted)
    leave_accept()
    return f"{counted(count, 'image')} accepted."


def _keys(context: DeskContext, images: NDArray[np.int64]) -> Sequence[str]:
    """What images are called, where the log has no manifest that says so."""
    if context.experiment.manifest is not None:
        return ()
    return [str(context.dataset.train.keys[image]) for image in images.tolist()]


def _by_kind(experiment: Experiment, offer: Offer) -> NDArray[np.int64]:
    """The images of an offer, those that look alike beside each other; of one that has been ordered
    before, from memory: it is drawn again with each press."""
    from al_core.loop.kinds import by_kind

    key = (experiment.id, offer.model, offer.label, offer.images.tobytes())
    kept: tuple[object, NDArray[np.int64]] | None = st.session_state.get(KINDS)
    if kept is None or kept[0] != key:
        predictions = load_predictions(experiment.folder, offer.model)
        assert predictions is not None
        order = by_kind(predictions.embeddings[offer.images], experiment.config.seed)
        kept = st.session_state[KINDS] = key, offer.images[order]
    return kept[1]


def _offers(experiment: Experiment) -> dict[int, Offer] | None:
    """What can be accepted, by class, the most first; None before there is a model. It stays while
    somebody looks at it, until something is accepted or another model comes."""
    kept: tuple[object, dict[int, Offer] | None] | None = st.session_state.get(STATE)
    about = (experiment.id, len(experiment.rounds), len(experiment.acceptances),
             len(experiment.class_changes), len(experiment.batches))  # fmt: skip
    if kept is None or kept[0] != about:
        kept = st.session_state[STATE] = about, _look(experiment)
    return kept[1]


def _look(experiment: Experiment) -> dict[int, Offer] | None:
    predictions = load_predictions(experiment.folder, experiment.next_round - 1)
    if predictions is None or predictions.model < 0:
        return None
    known = predictions.known_to(experiment)
    free = experiment.free_images
    free = free[known[free] & ~np.isin(free, [*experiment.taken_out])]
    probs = predictions.by_classes_of(experiment).probs[free]
    best, sure = probs.argmax(1), probs.max(1)
    offers = {}
    for label in experiment.classes.shown:
        mine = np.flatnonzero(best == label)
        mine = mine[np.argsort(-sure[mine], kind="stable")]
        if len(mine):
            offers[label] = Offer(predictions.model, label, free[mine], sure[mine])
    return dict(sorted(offers.items(), key=lambda one: -len(one[1].images)))
