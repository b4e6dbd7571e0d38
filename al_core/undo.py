"""Undo: a later row in the log that puts back what was said before."""

from __future__ import annotations

from dataclasses import replace

from al_core.experiment import Experiment
from al_core.pool import Annotation, now


def undo(experiment: Experiment, annotator: str, image: int | None = None) -> Annotation | None:
    """The row that takes back the last thing ``annotator`` said: of ``image``, or of any image of
    any batch. None if there is nothing to take back.

    What was undone is not undone again: a second undo goes one step further back.
    """
    said: dict[int, list[Annotation]] = {}  # what counts of each image, the last one last
    acts: list[Annotation] = []  # what the annotator may take back, the last one last
    asked = {i for batch in experiment.batches for i in batch.images} if image is None else {image}
    for annotation in experiment.annotations:
        mine = annotation.annotator == annotator and annotation.image in asked
        of_image = said.setdefault(annotation.image, [])
        if not annotation.undoes:
            of_image.append(annotation)
            if mine:
                acts.append(annotation)
        elif taken_back := _last(of_image, annotation.annotator):
            of_image.remove(taken_back)
            if mine:
                acts.remove(taken_back)
    if not acts:
        return None
    act = acts[-1]
    of_image = said[act.image]
    place = of_image.index(act)
    before = of_image[place - 1] if place else None
    # Where somebody else has spoken since, the last word stays theirs.
    back_to = before if act is of_image[-1] else of_image[-1]
    return replace(
        act,
        label=back_to.label if back_to else None,
        cleared=back_to.cleared if back_to else True,
        created_at=now(),
        event=None,
        milliseconds=None,
        undoes=True,
    )


def _last(annotations: list[Annotation], annotator: str) -> Annotation | None:
    return next((a for a in reversed(annotations) if a.annotator == annotator), None)
