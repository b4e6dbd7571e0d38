"""How right what was accepted without a look is: in words, by class, and with what target."""

from __future__ import annotations

import math
from dataclasses import replace

import streamlit as st

from al_core.experiment.accept import take_back_last
from al_core.experiment.accepted import Certificate, certificate_of
from al_core.experiment.experiment import Experiment
from al_core.names import counted
from al_core.store.store import Store
from al_desk.context import DeskContext
from al_desk.widgets.buttons import attempt, button, tell
from al_desk.widgets.formatting import ago, number_column, plain

WIDE = 560  # pixels of the table by class
ALL = 0.8  # of what was accepted; whoever looks at more may as well look at all


def show_certificate(context: DeskContext, experiment: Experiment) -> None:
    """How right what was accepted is, how many looks that takes, and the way back."""
    found = experiment.certificate
    if not found.size:
        st.caption(
            "When the model is right about most of the rest, look at its guesses many at once, and "
            "accept them. Some of them will be mixed into your batches, to tell how many are right."
        )
        return
    words = _in_words(found, experiment)
    if found.holds:
        st.success(words, icon=":material/verified:")
    else:
        st.info(words, icon=":material/fact_check:")
    if found.looks and not found.holds and found.looks_needed:
        st.progress(found.looks / (found.looks + found.looks_needed))
    with st.container(horizontal=True, vertical_alignment="center"):
        _target(context.store, experiment)
        _classes(experiment)
        standing = {id(act): act for act in experiment.accepted.who.values()}.values()
        if standing:  # else the files of all of it are gone
            last = max(standing, key=lambda act: act.created_at)
            st.caption(f"Accepted last by {plain(last.annotator)}, {ago(last.created_at)}.")
        button(
            "Take back",
            lambda: take_back_last(context.store, experiment.id, context.annotator),
            key=f"take-back-{experiment.id}",
            icon=":material/undo:",
            help="What was accepted last is open again. After looks at it, the others are drawn "
            "anew: who chooses by the outcome has to begin again.",
        )


def _classes(experiment: Experiment) -> None:
    """The same of each class, which takes about as many looks as all together."""
    with st.popover("By class", icon=":material/category:"):
        rows = []
        for label, name in experiment.classes.named.items():
            found = certificate_of(experiment, label)
            if not found.size:
                continue
            needed = found.looks_needed
            few = needed is None or found.looks + needed >= ALL * found.size
            rows.append({
                "Class": name,
                "Accepted": found.size,
                "Looks": found.looks,
                "Wrong": found.wrong,
                "Right at least": 100 * found.most_right,
                "Looks needed": "–" if found.holds else "all" if few else f"{needed:,}",
            })  # fmt: skip
        columns = {"Right at least": number_column("Right at least", "%.1f%%")}
        st.dataframe(rows, hide_index=True, column_config=columns, width=WIDE)


def _target(store: Store, experiment: Experiment) -> None:
    """How right it has to be, and how much is looked at, where somebody wants it otherwise."""
    config = experiment.config
    with st.popover("Target", icon=":material/tune:"):
        for name, label, (low, high), note in TARGETS:
            key = f"{name}-{experiment.id}"

            def save(name: str = name, key: str = key) -> None:
                changed = {name: st.session_state[key] / 100}
                replace(config, **changed)  # raises if there is something wrong with it
                store.change_config(experiment.id, changed)

            # The log decides what the field shows: another tab may have changed it.
            st.session_state[key] = round(100 * getattr(config, name), 1)
            st.number_input(
                label, low, high, key=key, help=note, on_change=attempt, args=(key, save),
                format="%g",
            )  # fmt: skip
            tell(key)


# Settings in per cent: each with its label, its limits and its help.
TARGETS = (
    ("target", "Right, %", (50.0, 99.9), "Of all labels that were accepted."),
    ("confidence", "Confidence, %", (50.0, 99.9),
     "That nothing said here of them is wrong, in all and of each class, however often one looks."),
    ("look_share", "Looks, %", (0.0, 1000.0),
     "For so many in a hundred images of a batch, one that was accepted is mixed in."),
)  # fmt: skip


def _in_words(found: Certificate, experiment: Experiment) -> str:
    right, confidence = found.most_right, experiment.config.confidence
    if found.holds:
        return (
            f"**{right:.1%} or more of {found.size:,} accepted labels are right**, with "
            f"{confidence:.0%} confidence: {counted(found.looks, 'look')}, {found.wrong:,} wrong."
        )
    words = f"{counted(found.size, 'label')} accepted, "
    if found.looks:
        waiting = f", {found.waiting:,} not answered yet" if found.waiting else ""
        words += (
            f"{counted(found.looks, 'look')} at them, {found.wrong:,} wrong{waiting}: "
            f"{right:.1%} or more are right."
        )
    else:
        words += "and nobody has looked at any yet."
    if experiment.accepted.opened_again:
        words += " Looks of before something was changed do not count any more."
    return f"{words} {_what_it_takes(found, experiment)}"


def _what_it_takes(found: Certificate, experiment: Experiment) -> str:
    target, needed = f"{found.target:.1%}".replace(".0%", "%"), found.looks_needed
    if found.is_out_of_reach:
        return f"That is too many for {target}: take something back, and accept less of it."
    if needed is None:
        return (
            f"If as many are wrong as so far, it will not come to {target}; with few looks that "
            "may be chance."
        )
    a_batch = math.ceil(experiment.config.look_share * experiment.config.per_round)
    batches = (
        counted(math.ceil(needed / a_batch), "batch", "batches") if a_batch else "none of them"
    )
    return (
        f"For {target} it takes about {counted(needed, 'more look')}, which are mixed into the "
        f"batches under *Label*: as it is, into {batches}. *Target* makes that more or fewer."
    )
