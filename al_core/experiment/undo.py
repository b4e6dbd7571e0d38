"""Undo: a later row in the log that restores the answer before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from al_core.store.records import Annotation, now, what_stands


def last_act(
    annotations: Sequence[Annotation], annotator: str, images: Collection[int]
) -> tuple[Annotation, Annotation | None] | None:
    """``annotator``'s last answer for any of ``images`` that was not taken back, and the one that
    stands without it; None if there is none to take back.

    ``annotations`` holds at least all those of these images.
    """
    wanted = set(images)
    standing = what_stands(a for a in annotations if a.image in wanted)
    place = {id(annotation): i for i, annotation in enumerate(annotations)}
    acts = [a for of_image in standing.values() for a in of_image if a.annotator == annotator]
    if not acts:
        return None
    act = max(acts, key=lambda a: place[id(a)])
    rest = [a for a in standing[act.image] if a is not act]
    return act, rest[-1] if rest else None


def undo(
    annotations: Sequence[Annotation], annotator: str, images: Collection[int]
) -> Annotation | None:
    """The row that takes back what :func:`last_act` finds, if anything. What was undone is not
    undone again: a second undo goes one step further back."""
    found = last_act(annotations, annotator, images)
    return None if found is None else taken_back(*found)


def taken_back(act: Annotation, back_to: Annotation | None) -> Annotation:
    """The row that takes back ``act``, so that ``back_to`` stands."""
    return replace(
        act,
        label=back_to.label if back_to else None,
        cleared=back_to.cleared if back_to else True,
        reason=back_to.reason if back_to else None,
        created_at=now(),
        event=None,
        milliseconds=None,
        undoes=True,
    )
