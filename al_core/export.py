"""Tables to take away: the labels, from the log alone, and what a network says of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from al_core.cells import write_row
from al_core.experiment import Experiment

COLUMNS = (
    "key", "image", "label", "class_name", "round", "strategy", "score", "annotator", "created_at",
    "seconds",
)  # fmt: skip


def export_labels(experiment: Experiment, file: TextIO) -> int:
    """Write the last label of each image to ``file`` as CSV; returns the number of rows.

    A skipped image has an empty label and class name; ``seconds`` is how long the person looked,
    empty where nobody measured it. ``strategy`` and ``score`` are those by
    which the image was chosen; images the truth labelled at the start were drawn at random.
    """
    chosen = {
        image: (batch.strategy, "" if score is None else score)
        for batch in experiment.batches
        for image, score in zip(batch.images, batch.scores or repeat(None), strict=False)
    } | dict.fromkeys(experiment.at_random, ("random", ""))
    write_row(file, COLUMNS)
    answers = sorted(experiment.pool.answers.values(), key=lambda answer: answer.image)
    for answer in answers:
        label = answer.label
        write_row(file, [
            answer.key,
            answer.image,
            "" if label is None else label,
            "" if label is None else experiment.config.class_names[label],
            answer.round,
            *chosen.get(answer.image, ("random", "")),
            answer.annotator,
            answer.created_at.isoformat(timespec="milliseconds"),
            "" if answer.milliseconds is None else answer.milliseconds / 1000,
        ])  # fmt: skip
    return len(answers)


def export_predictions(
    keys: Sequence[str],
    images: NDArray[np.int64],
    probs: NDArray[np.float32],
    class_names: Sequence[str],
    file: TextIO,
) -> None:
    """Write the most likely class of each image to ``file`` as CSV.

    ``keys`` and ``images`` ``[N]`` name them, ``probs`` is ``[N,C]``.
    """
    write_row(file, ["key", "image", "label", "class_name", "probability"])
    said = probs.argmax(1)
    for key, image, label, prob in zip(keys, images.tolist(), said, probs.max(1), strict=True):
        write_row(file, [key, image, label, class_names[label], f"{prob:.4f}"])
