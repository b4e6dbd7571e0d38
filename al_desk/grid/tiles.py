"""What the grid shows of each image: its label, the model's guess, and why it was chosen."""

from __future__ import annotations

from typing import Any

from al_core.experiment.experiment import Experiment
from al_core.experiment.pool import Pool
from al_core.images.dataset import Dataset
from al_core.store.records import Annotation, Batch
from al_core.store.store import Store
from al_core.strategies.registry import titled
from al_desk.grid.events import SKIP
from al_desk.grid.label_grid import Tile
from al_desk.grid.sprites import sprite_text


def batch_tiles(
    experiment: Experiment, batch: Batch, dataset: Dataset, show_truth: bool
) -> list[Tile]:
    """A batch as the log has it now; the truth only where a person asked to see it."""
    top = batch.reasons.top if batch.reasons else None
    guesses = [best[0] for best in top] if top else [None] * len(batch.images)
    answers = experiment.pool.answers
    return [
        Tile(image, code(answers.get(image)), guess, truth_of(dataset, image, show_truth))
        for image, guess in zip(batch.images, guesses, strict=True)
    ]


def truth_of(dataset: Dataset, image: int, show_truth: bool) -> int | None:
    """The class that came with an image, where it is to be shown."""
    target = int(dataset.train.targets[image])
    return target if show_truth and target >= 0 else None


def code(answer: Annotation | None) -> int | None:
    """An answer as the grid says it."""
    if answer is None:
        return None
    return SKIP if answer.label is None else answer.label


def why(
    store: Store, experiment: Experiment, batch: Batch, dataset: Dataset, image: int
) -> dict[str, Any]:
    """Why an image was chosen, as the grid's panel shows it.

    The model's guess stays hidden while the image has no label, as in the grid.
    """
    place = list(batch.images).index(image)
    reasons = batch.reasons
    near = list(reasons.nearest[place]) if reasons else []
    log = store.annotations(experiment.id, [image, *near])
    answers = Pool.fold(experiment.pool_size, log).answers
    answered = image in answers and answers[image].label is not None
    near = [i for i in near if i in answers and answers[i].label is not None]
    top = reasons.top[place] if reasons and reasons.top else None
    if top is None:
        hidden = "Nothing yet: there was no model when this image was drawn."
    else:
        hidden = "Shown once the image has a label."
    return {
        "image": image,
        "chosen": _chosen(batch, place),
        "top": top if answered or experiment.config.show_guesses else None,
        "hidden": hidden,
        "near": [answers[i].label for i in near],
        "size": int(dataset.train.images.shape[-1]),
        "sheet": sprite_text(dataset.train.images[near]) if near else "",
    }


def _chosen(batch: Batch, place: int) -> str:
    if batch.images[place] in (batch.at_random or ()):
        return "Drawn at random from the whole pool, to measure the model; it never trains on it."
    if batch.reasons is None or batch.strategy == "random":
        return "Drawn at random."
    title = titled(batch.strategy)
    of = f"{batch.reasons.pool:,} unlabelled images"
    by = (
        "before there was a model"
        if batch.model is None
        else f"by the model of round {batch.model}"
    )
    if batch.scores is None or batch.reasons.rank is None:
        return f"Chosen by {title} among {of}, {by}."
    rank = f"rank {batch.reasons.rank[place]:,} of {of}"
    return f"{title} {batch.scores[place]:.3f}: {rank}, {by}."
