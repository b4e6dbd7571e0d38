"""The features that a round learns from and a batch is chosen by: all, or those there so far."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.embedded import embedding_order, leading, testing_order
from al_core.experiment.experiment import SO_FAR, Experiment
from al_core.features.embed import Orders, embed_rows, features_folder, features_of
from al_core.features.encoders.find import encoder_of
from al_core.features.growing import features_there
from al_core.features.read import Features
from al_core.features.words import Words, words_for
from al_core.images.dataset import Dataset
from al_core.models.hardware import Hardware
from al_core.progress import Work

NONE = np.empty(0, np.int64)
SOON = 1.5  # seconds


def features_for(
    experiment: Experiment, dataset: Dataset, hardware: Hardware, seconds: float = 0.0
) -> Work[tuple[Experiment, Features | None]]:
    """The frozen features of the images of ``experiment``, None where it trains a network; and the
    experiment, which says how many of the pool are embedded.

    Where it asks for as many as there are SO_FAR, only images with labels are embedded now, and as
    many others as ``seconds`` allow, or all where that is SOON done. Where it says how many there
    were at a log position, those are embedded now, unless they are there.
    """
    config = experiment.config
    if config.model.head != "linear" or experiment.embedded is None or config.model.embeddings:
        whole = replace(experiment, embedded=None)
        return whole, (yield from features_of(config, dataset, hardware))
    encoder = yield from encoder_of(config.model, dataset.learned_for, config.image_size)
    folder, orders = features_folder(encoder), orders_of(experiment, dataset)
    features = features_there(folder, dataset, encoder)
    if features.there is not None:
        first = orders[0][: max(experiment.embedded, 0)]
        needed = np.union1d(_labelled(experiment), first).astype(np.int64)
        yield from embed_rows(dataset, encoder, hardware, folder, (needed, NONE))
        if experiment.embedded == SO_FAR and (seconds or SOON):
            deadline = time.monotonic() + seconds
            some = (orders[0], NONE) if seconds else orders  # nothing is measured before a label
            for report in embed_rows(dataset, encoder, hardware, folder, some):
                yield report
                if time.monotonic() > deadline and (report.seconds_left or SOON) >= SOON:
                    break
        features = features_there(folder, dataset, encoder)
    if experiment.embedded == SO_FAR:
        there = features.there
        complete = there is None or all(part.all() for part in there)
        count = None if there is None or complete else leading(there[0], orders[0])
        experiment = replace(experiment, embedded=count)
    return experiment, features


def words_of(experiment: Experiment, dataset: Dataset) -> Work[Words | None]:
    """The classes of an experiment in words, where its encoder knows some."""
    model = experiment.config.model
    if not model.knows_words:
        return None
    encoder = yield from encoder_of(model, dataset.learned_for, experiment.config.image_size)
    classes = experiment.classes
    return words_for(encoder, classes.called, classes.shown, model.prompts)


def orders_of(experiment: Experiment, dataset: Dataset) -> Orders:
    """The orders in which the images of an experiment are embedded."""
    return embedding_order(experiment), testing_order(experiment, len(dataset.test))


def _labelled(experiment: Experiment) -> NDArray[np.int64]:
    return np.array([*experiment.pool.answers], np.int64)
