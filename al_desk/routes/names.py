"""What images are called, as answers are written with it."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

import numpy as np

from al_core.config import ExperimentConfig
from al_core.experiment.manifest import manifest_of
from al_core.store.store import Store
from al_desk.server.images import images_read

KEPT = 100  # batches of which names are remembered


@lru_cache(KEPT)
def names_of_batch(
    store: Store, number: int, images: tuple[int, ...], _created_at: datetime | None
) -> dict[int, str]:
    """What a batch's images are called; those of one that was made at another time are others."""
    return names_of(store, number, images)


def names_of(store: Store, number: int, images: tuple[int, ...]) -> dict[int, str]:
    """What images of an experiment are called, by their positions."""
    manifest = manifest_of(store.images(number))
    if manifest is None:
        keys = images_read(ExperimentConfig.from_json(store.experiment(number).config)).train.keys
        return {image: keys[image] for image in images}
    return dict(zip(images, manifest.pool.take(np.array(images)).values("key"), strict=True))
