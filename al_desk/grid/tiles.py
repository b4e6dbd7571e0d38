"""What the grid shows of each image: its label, the model's guess, and why it was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from al_core.experiment.pool import Pool
from al_core.store.records import Annotation, Batch
from al_core.strategies.registry import titled
from al_desk.context import DeskContext
from al_desk.grid.events import SKIPS
from al_desk.grid.label_grid import Frame
from al_desk.routes.pictures import address, shown

Guesses = Mapping[int, tuple[int, float]]  # image -> the model's class and its probability


def frame_of(context: DeskContext, key: str, images: Sequence[int], guesses: Guesses) -> Frame:
    """The frame of a grid of ``images``; their truth only where the person asked to see it."""
    train = context.dataset.train
    truths = {image: int(train.targets[image]) for image in images if context.show_truth}
    known = {image: truth for image, truth in truths.items() if truth >= 0}
    classes = context.experiment.classes
    where, pictures = address(context.experiment.id), shown(train, images)
    return Frame(key, images, where, pictures, classes.names, classes.shown, guesses, known)


def frame_of_tests(context: DeskContext, key: str, images: Sequence[int]) -> Frame:
    """The frame of a grid of test ``images``, by their positions in the test set."""
    classes, number = context.experiment.classes, context.experiment.id
    pictures = shown(context.dataset.test, images)
    return Frame(key, images, address(number), pictures, classes.names, classes.shown)


def guesses_of(batch: Batch) -> Guesses:
    """The model's guess for each image of a batch; empty before there was a model."""
    top = batch.reasons.top if batch.reasons else None
    return {i: best[0] for i, best in zip(batch.images, top, strict=True)} if top else {}


def labels_of(images: Sequence[int], answers: Mapping[int, Annotation]) -> list[int | None]:
    """The labels of ``images`` as the grid encodes them."""
    code_of = {reason: code for code, reason in SKIPS.items()}
    found = [answers.get(image) for image in images]
    return [a if a is None else code_of[a.reason] if a.label is None else a.label for a in found]


def why(context: DeskContext, batch: Batch, image: int) -> dict[str, Any]:
    """Why an image was chosen, as the grid's panel shows it.

    The model's guess stays hidden while the image has no label, as it does in the grid.
    """
    experiment = context.experiment
    place = list(batch.images).index(image)
    reasons = batch.reasons
    near = list(reasons.nearest[place]) if reasons else []
    log = context.store.annotations(experiment.id, [image, *near])
    answers = Pool.fold(experiment.pool_size, experiment.classes.mapped(log)).answers
    answered = image in answers and answers[image].label is not None
    near = [i for i in near if i in answers and answers[i].label is not None]
    top = reasons.top[place] if reasons and reasons.top else None
    if top is None:
        hidden = "None: there was no model yet when this image was chosen."
    else:
        hidden = "Shown once the image has a label."
    return {
        "image": image,
        "chosen": _chosen(batch, place),
        "top": top if answered or experiment.config.show_guesses else None,
        "hidden": hidden,
        "near": [answers[i].label for i in near],
        "pictures": shown(context.dataset.train, near),
    }


def _chosen(batch: Batch, place: int) -> str:
    if batch.images[place] in (batch.held_out or ()):
        return "Drawn at random from the whole pool to measure the model, which never trains on it."
    if batch.reasons is None or batch.strategy == "random":
        return "Drawn at random."
    title = titled(batch.strategy)
    of = f"{batch.reasons.pool:,} unlabelled images"
    model = batch.model
    by = "before there was a model" if model is None else f"by the model of round {model}"
    if batch.scores is None or batch.reasons.rank is None:
        return f"Chosen by {title} among {of}, {by}."
    rank = f"rank {batch.reasons.rank[place]:,} of {of}"
    return f"{title} {batch.scores[place]:.3f}: {rank}, {by}."
