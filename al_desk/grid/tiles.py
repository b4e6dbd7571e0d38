"""What the grid shows of each image: its picture, and the model's guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from al_core.store.records import Batch
from al_desk.context import DeskContext
from al_desk.grid.label_grid import Frame
from al_desk.routes.grids import Grid, whose_page
from al_desk.routes.pictures import address, shown

Guesses = Mapping[int, tuple[int, float]]  # image -> the model's class and its probability


def grid_of(context: DeskContext, kind: str, batch: int = 0) -> Grid:
    """The grid of that kind, one of KINDS, for whoever has the page open."""
    settings = context.experiment.config
    shown = kind == "review" or (kind == "batch" and settings.show_guesses)
    return Grid(context.experiment.id, kind, batch, context.annotator, shown, whose_page())


def frame_of(context: DeskContext, grid: Grid, images: Sequence[int], guesses: Guesses) -> Frame:
    """The frame of a grid of ``images``; their truth only where the person asked to see it."""
    train = context.dataset.train
    truths = {image: int(train.targets[image]) for image in images if context.show_truth}
    known = {image: truth for image, truth in truths.items() if truth >= 0}
    classes = context.experiment.classes
    where, pictures = address(context.experiment.id), shown(train, images)
    return Frame(grid, images, where, pictures, classes.names, classes.shown, guesses, known)


def frame_of_tests(context: DeskContext, grid: Grid, images: Sequence[int]) -> Frame:
    """The frame of a grid of test ``images``, by their positions in the test set."""
    classes, number = context.experiment.classes, context.experiment.id
    pictures = shown(context.dataset.test, images)
    return Frame(grid, images, address(number), pictures, classes.names, classes.shown)


def guesses_of(batch: Batch) -> Guesses:
    """The model's guess for each image of a batch; empty before there was a model."""
    top = batch.reasons.top if batch.reasons else None
    return {i: best[0] for i, best in zip(batch.images, top, strict=True)} if top else {}
