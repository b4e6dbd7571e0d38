"""How an experiment starts: its first rows in the log, its initial and its held-out images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_core.config import ExperimentConfig
from al_core.errors import ConfigError, SourceError
from al_core.experiment.listed import began_with
from al_core.files.paths import located
from al_core.images.dataset import Dataset, has_files
from al_core.images.near_copies import measured
from al_core.images.outline import identify
from al_core.seeds import numpy_generator
from al_core.sources.sources import SOURCES
from al_core.store.records import TRUTH, Annotation, Batch, FirstRows, LogPosition

if TYPE_CHECKING:
    from al_core.store.store import Store


def initial_images(config: ExperimentConfig, pool_size: int) -> NDArray[np.int64]:
    """The positions an experiment starts with, drawn at random by its seed, int64 ``[initial]``."""
    drawn = numpy_generator(config.seed, "initial images").permutation(pool_size)
    if kept := reserved_images(config, pool_size):
        drawn = drawn[np.isin(drawn, kept, invert=True)]
    return drawn[: config.initial]


def reserved_images(config: ExperimentConfig, pool_size: int) -> list[int]:
    """The positions of the held-out images, which no strategy may choose, in the order in which
    they are asked about.

    They are drawn before anything is known about them, so the first n of them, for any n, are an
    even sample of the pool.
    """
    count = int(config.held_out_share * pool_size)
    drawn = numpy_generator(config.seed, "held-out images").permutation(pool_size)[:count]
    return drawn.tolist()  # type: ignore[no-any-return]


def start_experiment(store: Store, name: str, config: ExperimentConfig, dataset: Dataset) -> int:
    """Write a new experiment on ``dataset`` to the log and return its id.

    ``config.initial`` images are drawn at random: labelled by the truth at once, or given to the
    person as the batch of round 0. If another strategy starts, that batch is chosen later, since
    it takes a while. Where the truth of some images alone is known, it labels all of these.
    Classes come from the dataset if it has them. Images are held out only if no test image of the
    dataset has a known truth. Raises ConfigError if the settings do not fit the images, or for the
    name.

    An outline is enough for a start at random that a person labels.
    """
    if dataset.refused:
        raise SourceError(dataset.refused)
    config, labelled = _fitted(config, dataset)
    batch = None
    if config.initial_labels == "person" and config.start == "random":
        batch = first_batch(config, len(dataset.train))
    if dataset.is_outline and batch is not None:
        identify(dataset, batch.images)  # labels go with pictures, whatever happens to their names
    targets, keys = dataset.train.targets, dataset.train.keys
    annotations = [Annotation(i, int(targets[i]), 0, TRUTH, key=keys[i]) for i in labelled]
    images = began_with(dataset) if has_files(dataset) else ()
    return store.create_experiment(
        name,
        config.to_json(),
        dataset.fingerprint,
        len(dataset.train),
        FirstRows(annotations, batch, images),
    )


def _fitted(config: ExperimentConfig, dataset: Dataset) -> tuple[ExperimentConfig, list[int]]:
    """The settings as they are for these images, and which of those the truth labels at once."""
    names = dataset.train.class_names or config.class_names
    if config.class_names and set(config.class_names) != set(names):
        some = ", ".join(names[:5]) + " …" * (len(names) > 5)
        raise ConfigError(
            f"These images come with classes ({some}), and others were named: leave that field "
            "empty, or say that the folders are no classes."
        )
    # Absolute, so that they are found from another working directory.
    data = config.data if config.data in SOURCES else str(located(config.data))
    config = replace(config, class_names=names, data=data, model=config.model.located())
    if (measured(dataset, config.copies_measure).test.targets >= 0).any():
        config = replace(config, held_out_share=0.0)
    size, by_truth = len(dataset.train), config.initial_labels == "truth"
    known = np.flatnonzero(dataset.train.targets >= 0).tolist()
    is_partial = by_truth and bool(known) and not dataset.has_truth
    if is_partial:
        kept = set(reserved_images(config, size))
        known = [image for image in known if image not in kept]
        config = replace(config, initial=len(known))
    base = dataset.base or dataset
    is_other = bool(base.copies or base.near_copies or base.unreadable)
    because = " now that copies and what cannot be read are known" * is_other
    config.check_against(size, dataset.has_truth or is_partial, because)
    if by_truth and config.start != "random":
        raise ConfigError(
            "A start by a strategy is labelled by you; choose that, or a random start."
        )
    if not by_truth:
        return config, []
    return config, known if is_partial else initial_images(config, size).tolist()


def first_batch(config: ExperimentConfig, pool_size: int) -> Batch | None:
    """The first batch of an experiment that starts at random and is labelled by a person."""
    measuring = reserved_images(config, pool_size)[: int(config.held_out_share * config.initial)]
    drawn = initial_images(config, pool_size)[: config.initial - len(measuring)]
    nothing = LogPosition(0, 0, 0, [], config.recorded)
    return mixed_batch(0, "random", drawn.tolist(), measuring, nothing)


def mixed_batch(
    number: int, strategy: str, chosen: list[int], measuring: list[int], position: LogPosition
) -> Batch | None:
    """A batch of round ``number``: the ``chosen`` images in their order, with the held-out ones at
    random places among them, so that nobody labels those differently, or last. None without any."""
    images = [*chosen]
    rng = numpy_generator(len(images), "places", *measuring)
    for image in measuring:
        images.insert(int(rng.integers(len(images) + 1)), image)
    if not images:
        return None
    held_out = measuring or None
    return Batch(number, strategy, images, None, held_out=held_out, log_position=position)
