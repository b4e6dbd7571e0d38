"""Undo: a later row in the log that restores the answer before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from al_core.store.records import Annotation, now, what_stands


def undo(
    annotations: Sequence[Annotation], annotator: str, images: Collection[int]
) -> Annotation | None:
    """The row that takes back ``annotator``'s last answer for any of ``images``; None if there is
    none to take back.

    ``annotations`` holds at least all those of these images. What was undone is not undone again: a
    second undo goes one step further back.
    """
    wanted = set(images)
    standing = what_stands(a for a in annotations if a.image in wanted)
    place = {id(annotation): i for i, annotation in enumerate(annotations)}
    acts = [a for of_image in standing.values() for a in of_image if a.annotator == annotator]
    if not acts:
        return None
    act = max(acts, key=lambda a: place[id(a)])
    rest = [a for a in standing[act.image] if a is not act]
    back_to = rest[-1] if rest else None
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
