"""The images of experiments, which all tabs of one server share: looked at, read, and shown."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from itertools import chain, zip_longest
from pathlib import Path

from al_core.config import LEARNED, ExperimentConfig, ModelConfig
from al_core.errors import SourceError
from al_core.experiment.experiment import Experiment
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.features.read import read_features
from al_core.files.paths import home, located, uploads
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load_again
from al_core.images.outline import outline
from al_core.images.survey import Survey, survey
from al_core.jobs import Job, JobState
from al_core.pictures.pictures import Pictures
from al_core.pictures.thumbnails import Thumbnails, thumbnail
from al_core.progress import Progress, Work
from al_core.sources.content import Content
from al_core.sources.sources import SOURCES
from al_core.storage.clean import limit_in_bytes
from al_core.store.store import Store
from al_desk.server.resources import loaded, loader, open_store

THUMBNAILS = 4e9  # bytes at most, or what caches may take if that is less
PATIENCE = 20  # seconds that a picture waits for its source to be read
SAMPLES, SIDE = 6, 192  # pictures of a source, in two rows; pixels of their longer side
SURVEY = "survey of "  # the keys of its jobs begin so
MANY = 2000  # images; those of a smaller source are read before its experiment starts


def images_key(config: ExperimentConfig) -> str:
    """The key of the job that loads an experiment's images."""
    as_what = "" if config.folders_are_classes else " without classes"
    return f"{_named(config.data)} at {config.size_in_memory}{as_what}"


def _named(source: str) -> str:
    """One name for a source, however its path was typed."""
    return source if source in SOURCES else str(located(source))


def folders() -> tuple[Path, ...]:
    """Those that may be named in the page, with all that is in them, as ``$AL_FOLDERS`` lists them,
    separated as in ``$PATH``; none where any may be."""
    listed = os.environ.get("AL_FOLDERS", "").split(os.pathsep)
    return tuple(located(one) for one in listed if one.strip())


def check_may_be_named(path: str) -> None:
    """Raise SourceError for a path that leads out of the folders that may be named, however it is
    written and whatever links it goes through; whether there is such a file is not said. Uploads
    may be named."""
    allowed = folders()
    there = located(path).resolve()
    if not allowed or uploads().resolve() in there.parents:
        return
    if not any(one.resolve() in (there, *there.parents) for one in allowed):
        raise SourceError(
            f"This desk reads files in {' and '.join(map(str, allowed))} alone, and uploads: name "
            "one of these folders, or one within, or upload the pictures."
        )


def load_images(
    config: ExperimentConfig, fresh: bool = False, wait: bool = True, moved_from: str = ""
) -> Job:
    """The job that loads an experiment's images, or has loaded them; its result is a Dataset.

    ``fresh`` reads the source again, whatever was loaded before; ``wait`` for what is there soon.
    ``moved_from``: where they were before. It fails where they may not be named.
    """

    def work() -> Work[Dataset]:
        if config.data not in SOURCES:
            check_may_be_named(config.data)
        return (
            yield from load_again(
                config.data,
                image_size=config.size_in_memory,
                cache_dir=home() / "cache",
                folders_are_classes=config.folders_are_classes,
                moved_from=moved_from,
            )
        )

    return loaded(images_key(config), work, fresh, wait)


def images_at_hand(experiment: Experiment) -> Dataset | None:
    """The images of an experiment, if this server has read them already."""
    job = loader().job(images_key(experiment.config))
    if job is None or job.state is not JobState.DONE:
        return None
    with suppress(SourceError):  # they are others by now
        return images_of(experiment, job.result)
    return None


def look_at(source: str, folders_are_classes: bool) -> Job:
    """The job that looks what a source holds; its result is a Survey and a few small pictures,
    each with its class, or else its name."""
    return loaded(
        _looked_at(source, folders_are_classes), lambda: _look(source, folders_are_classes)
    )


def look_again() -> None:
    """Forget what sources were seen to hold: they may have changed since. Not of one that is being
    read: an experiment may have begun with its list. Streamlit (1.67) calls this for the field of a
    path, too, once the form is closed."""
    read = [job.key for job in loader().active]
    for key in loader().ended(SURVEY):
        named = key.partition(": ")[2]
        if not any(one.startswith(f"{named} at ") for one in read):
            loader().forget(key)


def let_go_of_other_reading(config: ExperimentConfig) -> None:
    """Forget what a source holds where its folders are read the other way than for an experiment
    that starts: of 100,000 files, 50 MB."""
    loader().forget(_looked_at(config.data, not config.folders_are_classes))


def _looked_at(source: str, folders_are_classes: bool) -> str:
    return f"{SURVEY}{'with' if folders_are_classes else 'without'} classes: {_named(source)}"


def _look(source: str, folders_are_classes: bool) -> Work[tuple[Survey, list[tuple[str, bytes]]]]:
    if source not in SOURCES:
        check_may_be_named(source)
    found = yield from survey(
        source, cache_dir=home() / "cache", folders_are_classes=folders_are_classes
    )
    samples: list[tuple[str, bytes]] = []
    named = (
        [(name or key.rpartition("/")[2], key) for key in keys]
        for name, keys in found.samples.items()
    )
    for name, key in chain.from_iterable(zip_longest(*named, fillvalue=("", ""))):
        if found.content.at is None or len(samples) == SAMPLES:
            break
        if key:
            with suppress(Exception):  # a damaged picture is left out later, and named
                samples.append((name, thumbnail(found.content.at(key), SIDE)))
    return found, samples


def outline_of(config: ExperimentConfig) -> Dataset | None:
    """The images of a large source by their names alone, to begin with while they are read: drawn
    at random and labelled by a person. None where that is not asked for, or not enough, or nobody
    has looked at the source yet."""
    if config.initial_labels != "person" or config.start != "random":
        return None
    job = loader().job(_looked_at(config.data, config.folders_are_classes))
    if job is None or job.state is not JobState.DONE:
        return None
    content: Content = job.result[0].content
    if len(content.keys) < MANY:
        return None
    return _outline(_named(config.data), content, config.size_in_memory)


@lru_cache(4)
def _outline(source: str, content: Content, image_size: int) -> Dataset | None:
    return outline(source, content, image_size)


@lru_cache(16)
def look_for_changes(store: Store, experiment_id: int, source: Dataset) -> None:
    """Write to the log what has changed in the source of an experiment: once for each time that it
    was read. Raises SourceError, each time, where none of its images is there."""
    bring_up_to_date(store, experiment_id, source)


def catch_up(experiment: Experiment, dataset: Dataset) -> None:
    """Read the source again where another server has found images in it that this one has not seen:
    once for each state of the manifest, since a file may have gone again."""
    manifest = experiment.manifest
    if manifest is not None and dataset.blank - manifest.away:
        _read_again(experiment.id, len(manifest.rows))


@lru_cache(100)
def _read_again(experiment_id: int, _rows: int) -> None:
    load_images(_settings_of(experiment_id), fresh=True)


def _settings_of(experiment_id: int) -> ExperimentConfig:
    return ExperimentConfig.from_json(open_store().experiment(experiment_id).config)


def pictures_of(experiment_id: int) -> Pictures:
    """The pictures of an experiment's images; raises ActiveLearningError where they cannot be had
    now, as while they are still being read."""
    config = _settings_of(experiment_id)
    job = load_images(config)
    if job.active and (begun := outline_of(config)) is not None and begun.pictures is not None:
        return begun.pictures
    dataset = images_read(config)
    assert dataset.pictures is not None
    return dataset.pictures


def images_read(config: ExperimentConfig) -> Dataset:
    """The images of a source, once they are read; raises SourceError where that takes long, or
    cannot be done."""
    job = load_images(config)
    if not job.wait(PATIENCE) or job.result is None:
        raise SourceError(job.error or "The images are still being read.")
    return job.result  # type: ignore[no-any-return]


def thumbnails() -> Thumbnails:
    """Those that are kept. Raises ConfigError for an ``AL_CACHE_GB`` that is no number."""
    limit = limit_in_bytes()
    most = THUMBNAILS if limit is None else min(limit, THUMBNAILS)
    return _thumbnails(home() / "cache" / "thumbnails", most)


@lru_cache(1)
def _thumbnails(folder: Path, most: float) -> Thumbnails:
    return Thumbnails(folder, most)


def thumbnail_of(experiment_id: int, digest: bytes) -> bytes | None:
    """A picture of an experiment as a thumbnail; None where there is no such picture. Raises what
    decoding does, and ActiveLearningError. Room for more is made behind."""
    kept = thumbnails()
    drawn = kept.of(lambda: pictures_of(experiment_id), digest)
    if kept.is_due:
        loader().submit("room for thumbnails", kept.make_room)
    return drawn


def open_embeddings(config: ExperimentConfig, dataset: Dataset) -> Job:
    """The job that reads the embeddings somebody brings along, which fit if it ends well."""

    def work() -> Work[None]:
        yield Progress("Reading the embeddings", 0, 0, "", 0)
        check_may_be_named(config.model.embeddings)
        read_features(located(config.model.embeddings), dataset)

    return loaded(f"embeddings {config.model.embeddings} of {dataset.fingerprint}", work)


def open_weights(model: ModelConfig, size: int | None = None, fresh: bool = False) -> Job:
    """The same for the weights of a model and images of ``size`` pixels, which fit if it ends well;
    those that have yet to be learned do."""

    def work() -> Work[None]:
        if model.weights not in ("none", LEARNED):
            from al_core.features.encoders.find import opened

            if model.is_file:
                check_may_be_named(model.weights)
            yield from opened(model, "", size)

    return loaded(f"weights {model.weights} {model.architecture} {model.head} {size}", work, fresh)
