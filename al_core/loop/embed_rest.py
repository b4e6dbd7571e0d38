"""Embedding the images that have no embeddings yet, behind whoever labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.predictions import load_measured, save_measured
from al_core.experiment.source import images_of
from al_core.features.embed import embed_all, features_folder
from al_core.features.encoders.find import encoder_of
from al_core.images.dataset import Dataset
from al_core.loop.advance import train
from al_core.loop.features import orders_of
from al_core.models.hardware import Hardware
from al_core.progress import Progress, Work

if TYPE_CHECKING:
    from al_core.store.store import Store


def embed_the_rest(
    store: Store, experiment_id: int, dataset: Dataset, hardware: Hardware
) -> Work[None]:
    """Embed all images of an experiment that trains heads on an encoder: first those that somebody
    is asked about, then the others in their order. Then measure the rounds again that had only a
    part of the test images.

    Stopped anywhere, it resumes where it was. Raises WeightsError as
    :func:`al_core.features.embed.embed_all` does.
    """
    experiment = open_experiment(store, experiment_id)
    images = images_of(experiment, dataset)
    model, size = experiment.config.model, experiment.config.image_size
    encoder = yield from encoder_of(model, images.learned_for, size)
    order, tests = orders_of(experiment, images)
    asked = np.array([*experiment.open_images, *experiment.pool.answers], np.int64)
    first = np.concatenate([asked, order[~np.isin(order, asked)]])
    yield from embed_all(images, encoder, hardware, features_folder(encoder), (first, tests))
    experiment = open_experiment(store, experiment_id)
    for number in rounds_to_measure(experiment, images):
        yield Progress("Measuring again", number, len(experiment.rounds), "rounds", 0)
        position = experiment.rounds[number].log_position
        assert position is not None
        outcome, _ = yield from train(experiment.as_of(position), number, dataset, hardware)
        if outcome.measured is not None:
            save_measured(experiment.folder, number, outcome.measured)


def rounds_to_measure(experiment: Experiment, images: Dataset) -> list[int]:
    """The rounds that were trained while images were still being embedded, and that a part of the
    test images has measured alone."""
    if not (images.test.targets >= 0).any():
        return []
    early = [
        r.round for r in experiment.rounds if r.log_position and r.log_position.embedded is not None
    ]
    kept = {number: load_measured(experiment.folder, number) for number in early}
    return [n for n, one in kept.items() if one is None or len(one.images) < len(images.test)]
