"""Images that came after those to measure with were drawn from the pool: how many accuracy does not
speak of, and drawing from them as well."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from al_core.experiment.compare import measuring
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.manifest import Manifest
from al_core.experiment.source import images_of
from al_core.images.dataset import Dataset
from al_core.images.near_copies import groups_in_pool
from al_core.images.split import TEST_SHARE
from al_core.seeds import numpy_generator
from al_core.store.records import DRAWN, MISSING, now

if TYPE_CHECKING:
    from al_core.store.store import Store


def came_later(experiment: Experiment) -> list[int]:
    """The positions of images that came since images to measure with were drawn from the pool, and
    are there. None where the source itself says which images measure, or none do."""
    manifest = experiment.manifest
    draws = manifest is not None and (
        experiment.config.held_out_share or manifest.test.where("split", DRAWN).any()
    )
    if manifest is None or not draws:
        return []
    new = manifest.not_drawn_from
    missing = manifest.pool[new.start :].where("state", MISSING)
    return (new.start + np.flatnonzero(~missing)).tolist()


def spoken_of(manifest: Manifest) -> int:
    """How many images there were when those to measure with were last drawn from the pool. One that
    has changed sides has a place in both, and counts once."""
    rows = manifest.pool[: manifest.not_drawn_from.start] + manifest.test
    there = rows.take(np.flatnonzero(~rows.where("digest", "") | ~rows.where("state", MISSING)))
    return len({*zip(there.values("key"), there.values("digest"), strict=True)})


def to_draw_from(experiment: Experiment, dataset: Dataset) -> list[int]:
    """Those that came later and could be drawn now: nobody was asked about them, none that shows
    nearly the same may be trained on, and, where test images have a known class, they have one."""
    by_class = not experiment.config.held_out_share
    known = dataset.train.targets >= 0
    asked = experiment.pool.answers.keys() | experiment.open_images | experiment.away
    new = [i for i in came_later(experiment) if i not in asked and (known[i] or not by_class)]
    group_of = groups_in_pool(dataset)
    may_measure = {*new, *experiment.drawn_later, *experiment.reserved}
    trained = {group for i, group in group_of.items() if i not in may_measure}
    return [i for i in new if group_of.get(i) not in trained]


def to_draw(experiment: Experiment, dataset: Dataset) -> list[int]:
    """Those of them that are drawn if somebody asks for it: as large a share as of the first, of
    groups that show nearly the same all or none, and at least one such group."""
    if not (new := to_draw_from(experiment, dataset)):
        return []
    assert experiment.manifest is not None
    config, group_of = experiment.config, groups_in_pool(dataset)
    count = math.ceil((config.held_out_share or TEST_SHARE) * len(new))
    chance = numpy_generator(config.seed, "held-out images", len(experiment.manifest.rows))
    alike: dict[int, list[int]] = {}
    for i in chance.permutation(new).tolist():
        alike.setdefault(group_of.get(i, -1 - i), []).append(i)
    drawn: list[int] = []
    for group in alike.values():
        if len(drawn) + len(group) <= count:
            drawn += group
    return drawn or min(alike.values(), key=len)


def draw_from_new(store: Store, experiment_id: int, dataset: Dataset) -> None:
    """Draw them. They are never trained on. Does nothing where another server has just done it."""
    experiment = open_experiment(store, experiment_id)
    manifest = experiment.manifest
    drawn = to_draw(experiment, images_of(experiment, dataset))
    if manifest is None or not drawn:
        return
    rows = measuring([manifest.pool[i] for i in drawn], len(manifest.test), now())
    if experiment.config.held_out_share:  # a person labels them, and they are no test images
        rows = rows[: len(drawn)]
    store.add_images(experiment_id, rows, len(manifest.rows))
