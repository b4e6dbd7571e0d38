"""The classes of an experiment, changed while it is labelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from al_core.experiment import class_acts as of
from al_core.experiment.class_acts import Make, change_classes, to_redo, to_undo
from al_core.experiment.classes import ASIDE, in_words, standing
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.store.records import ClassChange
from al_core.store.store import Store
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain

LAST = 5  # changes that are told
ROWS, HIGH = 10, 388  # classes in a table that is not scrolled; pixels of one that is

Field = Callable[[Sequence[str], str], object]  # draws it, by the classes and its key


def class_editor(store: Store, experiment_id: int, annotator: str) -> None:
    """The classes with their labels, what can be done with them, and what was done last."""
    editor = st.expander(
        "Classes", icon=":material/category:", key=f"classes-{experiment_id}", on_change=st.rerun
    )
    if editor.open:  # while it is closed, the log need not be folded
        with editor:
            _edit(store, open_experiment(store, experiment_id), annotator)


def _edit(store: Store, experiment: Experiment, annotator: str) -> None:
    classes, changes = experiment.classes, experiment.class_changes
    names = [classes.names[one] for one in classes.shown]
    counts = dict.fromkeys(classes.shown, 0)
    for answer in experiment.pool.answers.values():
        if answer.label is not None:
            counts[answer.label] += 1
    table = {"Class": names, "Labels": [*counts.values()]}
    st.dataframe(table, hide_index=True, height="content" if len(names) <= ROWS else HIGH)

    def do(make: Make) -> None:
        change_classes(store, experiment.id, annotator, make)

    key = f"class-act-{experiment.id}-{len(changes)}"
    act = st.pills(
        "Change", [*ACTS], default="Add", required=True, key=f"class-act-{experiment.id}"
    )
    note, fields, make = ACTS[act]
    st.caption(note)
    for number, field in enumerate(fields):
        field(names, f"{key}-{act}-{number}")

    def act_now() -> None:
        do(make(*(st.session_state.get(f"{key}-{act}-{n}") or "" for n in range(len(fields)))))

    button(act, act_now, f"{key}-{act}", icon=":material/check:", width="stretch")
    back, again = to_undo(changes), to_redo(changes)
    undone = changes[changes[again].undoes] if again is not None else None
    with st.container(horizontal=True):
        for label, icon, what, of_it in (
            ("Undo", ":material/undo:", of.undo, None if back is None else changes[back]),
            ("Redo", ":material/redo:", of.redo, undone),
        ):
            note = "" if of_it is None else f"{label}: {in_words(of_it, classes)}"
            act_on = partial(do, what())
            button(label, act_on, f"class-{label}-{experiment.id}", icon=icon,
                   disabled=of_it is None, help=plain(note) or None)  # fmt: skip
    _history(experiment, changes)


def _history(experiment: Experiment, changes: Sequence[ClassChange]) -> None:
    stands = standing(changes)
    told = [(one, stands[i]) for i, one in enumerate(changes) if one.kind not in ASIDE]
    for change, is_there in told[: -LAST - 1 : -1]:
        line = plain(f"{in_words(change, experiment.classes)} ({change.annotator})")
        st.caption(line if is_there else f"~~{line}~~")


def _one(label: str) -> Field:
    return lambda names, key: st.selectbox(label, names, key=key)


def _many(label: str) -> Field:
    return lambda names, key: st.multiselect(label, names, key=key)


def _text(label: str) -> Field:
    return lambda names, key: st.text_input(label, key=key)


def _lines(label: str) -> Field:
    return lambda names, key: st.text_area(label, key=key, height=100, help="One per line.")


def _order(names: Sequence[str], key: str) -> object:
    st.session_state.setdefault(key, "\n".join(names))
    return st.text_area("Order", key=key, height=160, help="One per line. Keys follow it.")


def _split(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


# Of each act what it means, its fields, and what is done with those.
ACTS: dict[str, tuple[str, list[Field], Callable[..., Make]]] = {
    "Add": (
        "New classes come after the others. While you label: L, the name, Enter.",
        [_lines("Names")],
        lambda names: of.add(_split(names)),
    ),
    "Rename": (
        "Labels stay as they are.",
        [_one("Class"), _text("New name")],
        of.rename,
    ),
    "Key": (
        "A letter or a digit that labels with this class; empty for none of its own.",
        [_one("Class"), _text("Key")],
        of.put_on,
    ),
    "Merge": (
        "Labels of all of them count as one class.",
        [_many("Classes"), _one("Into")],
        of.merge,
    ),
    "Split": (
        "Its images are asked about again, the most doubtful first.",
        [_one("Class"), _lines("Into")],
        lambda name, into: of.split(name, _split(into)),
    ),
    "Retire": (
        "It is not offered any more, and its images count as skipped.",
        [_one("Class")],
        of.retire,
    ),
    "Order": (
        "In which order they are shown, and on which keys.",
        [_order],
        lambda names: of.reorder(_split(names)),
    ),
}
