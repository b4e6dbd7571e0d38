"""How often people answered otherwise than the model that chose the image."""

from __future__ import annotations

from al_core.experiment.experiment import Experiment
from al_core.store.records import what_stands


def disagreement(experiment: Experiment, number: int) -> tuple[int, int, bool]:
    """Of the labels of round ``number``: how many had a prediction, how many differ from it,
    and whether any prediction was seen before its label was given.

    The first label of each image that was not undone counts: after it, the prediction showed.
    """
    standing = what_stands(a for a in experiment.answers if a.round <= number)
    pairs = [
        (first, top[0][0])
        for batch in experiment.batches
        if batch.round == number and batch.reasons is not None and batch.reasons.top is not None
        for image, top in zip(batch.images, batch.reasons.top, strict=True)
        if top
        and (first := next((a for a in standing.get(image, ()) if a.label is not None), None))
    ]
    disagreed = sum(first.label != guess for first, guess in pairs)
    return len(pairs), disagreed, any(first.guess_shown for first, _ in pairs)
