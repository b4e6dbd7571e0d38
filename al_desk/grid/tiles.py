"""What the grid shows of each image: its picture, and the model's guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from al_core.images.dataset import ImageSet
from al_core.store.records import Batch
from al_desk.context import DeskContext
from al_desk.grid.label_grid import Frame
from al_desk.routes.grids import Grid, whose_page
from al_desk.routes.pictures import address, shown

Guesses = Mapping[int, tuple[int, float]]  # image -> the model's class and its probability


def grid_of(context: DeskContext, kind: str, batch: int = 0) -> Grid:
    """The grid of that kind, one of KINDS, for whoever has the page open."""
    settings = context.experiment.config
    shown = kind in ("review", "accept") or (kind == "batch" and settings.show_guesses)
    return Grid(context.experiment.id, kind, batch, context.annotator, shown, whose_page())


def frame_of(context: DeskContext, grid: Grid, images: Sequence[int], guesses: Guesses) -> Frame:
    """The frame of a grid of ``images``; their truth only where the person asked to see it."""
    train = context.dataset.train
    truths = {image: int(train.targets[image]) for image in images if context.show_truth}
    known = {image: truth for image, truth in truths.items() if truth >= 0}
    return replace(_frame(context, grid, train, images), guesses=guesses, truths=known)


def frame_of_tests(context: DeskContext, grid: Grid, images: Sequence[int]) -> Frame:
    """The frame of a grid of test ``images``, by their positions in the test set."""
    return _frame(context, grid, context.dataset.test, images)


def _frame(context: DeskContext, grid: Grid, of: ImageSet, images: Sequence[int]) -> Frame:
    classes = context.experiment.classes
    # Where folders are classes, a path would give the answer away.
    tells = bool(of.class_names) and not context.show_truth
    names = [of.keys[image] for image in images]
    return Frame(
        grid=grid,
        images=images,
        address=address(context.experiment.id),
        pictures=shown(of, images),
        names=[PurePosixPath(name).name for name in names] if tells else names,
        class_names=classes.names,
        class_keys=classes.keys,
        shown=classes.shown,
    )


def guesses_of(batch: Batch) -> Guesses:
    """The guess for each image of a batch, the model's or that of class names; empty before there
    was either."""
    top = batch.reasons.top if batch.reasons else None
    return {i: best[0] for i, best in zip(batch.images, top, strict=True) if best} if top else {}
