"""The images of an experiment in the order of its manifest, and bringing that up to date."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError
from al_core.experiment.classes import OPEN, Classes
from al_core.experiment.compare import another_picture, compare, gone, measuring, same_picture
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.former import manifest_of_before
from al_core.experiment.listed import (
    Listed,
    began_with,
    in_order,
    is_as_told,
    listed,
)
from al_core.experiment.manifest import Manifest
from al_core.files.paths import home
from al_core.images.dataset import Dataset, ImageSet, digests_of, has_files, identities
from al_core.images.near_copies import measured
from al_core.pictures.digests import FILES, digests_from, hexadecimal
from al_core.store.image_rows import ImageRows
from al_core.store.records import (
    CHANGED,
    DRAWN,
    HERE,
    LISTED,
    MISSING,
    POOL,
    TEST,
    ImageRow,
    now,
)

if TYPE_CHECKING:
    from al_core.store.store import Store

IN_MEMORY = 50e6  # bytes of pixels that a copy in another order may take there
ROWS = 4096  # images copied at once


def bring_up_to_date(store: Store, experiment_id: int, source: Dataset) -> None:
    """Write to the log what has changed in an experiment's ``source``, which was read just now.

    The manifest of an experiment is written when it is first opened. Raises SourceError where none
    of its images is there: then it is another source, or a disk that is not mounted. Sources
    without files do not change.
    """
    if not has_files(source):
        return
    rows: Sequence[ImageRow]
    while True:
        experiment = open_experiment(store, experiment_id)
        manifest = experiment.manifest
        if manifest is not None and is_as_told(manifest, source):
            return
        if manifest is None:
            same = source.fingerprint == experiment.fingerprint
            rows = began_with(source) if same else manifest_of_before(experiment, source)
        else:
            rows = compare(manifest, source)
            check_any_left(experiment, manifest, rows)
            if manifest.is_outline:
                rows = _on_their_sides(manifest, rows, listed(source))
        written = not rows or store.add_images(
            experiment_id, rows, len(manifest.rows) if manifest else 0
        )
        if written and manifest is not None:
            return
        # The first rows were written, or another server has written some: look again.


def _on_their_sides(
    outline: Manifest, rows: Sequence[ImageRow], images: Iterable[Listed]
) -> list[ImageRow]:
    """``rows``, with those by which images change sides between training and testing: an outline
    was split by names alone, and copies lie on one side. What somebody was asked about stays in the
    pool, and a split of the source's own as it is."""
    after = outline.with_rows(rows)
    tested, at = {one.digest for one in images if one.is_test}, now()
    # Without any, the source can not be read for classes any more.
    if not tested or after.test.where("split", TEST).any():
        return [*rows]
    unseen = {row.place for row in outline.rows if row.state == LISTED and not row.digest}
    there = [row for row in (*after.pool, *after.test) if row.state == HERE and row.place in unseen]
    trains = [row for row in there if row.split == DRAWN and row.digest not in tested]
    tests = [row for row in there if row.split == POOL and row.digest in tested]
    size = len(after.pool), len(after.test)
    moved = [
        replace(row, split=POOL, position=size[0] + i, created_at=at)
        for i, row in enumerate(trains)
    ]
    moved += [gone(row, at) for row in trains]
    moved += measuring(tests, size[1], at)
    return [*{row.place: row for row in (*rows, *moved)}.values()]


def answer_changes(
    store: Store,
    experiment_id: int,
    dataset: Dataset,
    places: Sequence[tuple[bool, int]],
    same: bool,
) -> None:
    """Write down that the files of the images at ``places`` show the ``same`` picture as before,
    changed, or another one. What was answered meanwhile stays as it is."""
    images = listed(dataset.base or dataset)
    while True:
        manifest = open_experiment(store, experiment_id).manifest
        if manifest is None:
            return
        asked = [row for row in map(manifest.at, places) if row and row.state == CHANGED]
        rows = (same_picture if same else another_picture)(manifest, images, asked)
        if not rows or store.add_images(experiment_id, rows, len(manifest.rows)):
            return


def check_any_left(experiment: Experiment, manifest: Manifest, rows: Sequence[ImageRow]) -> None:
    """Raise SourceError where after ``rows`` no image of the pool would be left."""
    after = manifest.with_rows(rows).pool[: len(manifest.pool)]
    if after.where("state", MISSING).all():
        raise SourceError(
            f"None of the images of “{experiment.name}” is at “{experiment.config.data}”: see that "
            "its disk is there, or, where they have moved, give their new path. The labels are "
            "safe and can be exported."
        )


def images_of(experiment: Experiment, source: Dataset) -> Dataset:
    """The images of ``source`` at the positions that ``experiment`` knows them by; perhaps those of
    an earlier log position.

    Of those that are not there any more, the pixels are still known where a cache has kept them.
    Test images that may not measure have no known truth (:func:`measured`).
    Raises SourceError where the experiment has no manifest, and was started on other images.
    """
    source = source.base or source
    if experiment.manifest is not None:
        about = (experiment.fingerprint, experiment.classes)
        ordered = _in_order(experiment.manifest, source, *about)
        ordered = _as_said(ordered, experiment.classes)
        return measured(ordered, experiment.config.copies_measure)
    if source.fingerprint != experiment.fingerprint:
        raise SourceError(
            f"The images at “{experiment.config.data}” are not the ones that “{experiment.name}” "
            "was started on, so its labels would point at the wrong images; bring the former "
            "images back, or start a new experiment. The labels are safe and can be exported."
        )
    ordered = _as_said(_of_classes(source, experiment.classes), experiment.classes)
    return measured(ordered, experiment.config.copies_measure)


def unsaid_tests(experiment: Experiment, dataset: Dataset) -> list[int]:
    """The positions of the test images whose class was split, and of which nobody has said what
    they are now."""
    classes = experiment.classes
    if experiment.manifest is not None:
        known = [name for i, name in enumerate(classes.first_names) if classes.counts_as[i] == OPEN]
        was = experiment.manifest.test.where("label", *known).tolist()
    else:
        targets = (dataset.base or dataset).test.targets.tolist()
        was = [target >= 0 and classes.counts_as[target] == OPEN for target in targets]
    said = {image for image, label in classes.truths if label >= 0}
    return [image for image, is_open in enumerate(was) if is_open and image not in said]


@lru_cache(4)
def _as_said(dataset: Dataset, classes: Classes) -> Dataset:
    """With what people have said of test images, whose class was split."""
    said = [(i, label) for i, label in classes.truths if label >= 0 and i < len(dataset.test)]
    if not said:
        return dataset
    targets = dataset.test.targets.copy()
    images, labels = np.array(said).T
    targets[images] = labels
    targets.setflags(write=False)
    test = replace(dataset.test, targets=targets)
    began_as = dataset.learned_for
    return _fingerprinted(replace(dataset, test=test, base=dataset.base or dataset), began_as)


@lru_cache(4)
def _of_classes(source: Dataset, classes: Classes) -> Dataset:
    """A source without files, with its classes as they count now."""
    if classes.as_at_first and source.train.class_names in (classes.names, ()):
        return source
    train, test = (
        replace(images, targets=classes.targets(images.targets), class_names=classes.names)
        for images in source.splits
    )
    return _fingerprinted(replace(source, train=train, test=test, base=source), source.fingerprint)


def _fingerprinted(dataset: Dataset, began_as: str) -> Dataset:
    train = dataset.train
    digest = hashlib.sha256(repr((train.class_names, train.images.shape)).encode())
    for images in dataset.splits:
        digest.update(images.targets.tobytes() + digests_of(images).tobytes())
    return replace(dataset, fingerprint=digest.hexdigest()[:16], learned_as=began_as)


@lru_cache(4)
def _in_order(manifest: Manifest, source: Dataset, began_as: str, classes: Classes) -> Dataset:
    drawn = frozenset(manifest.drawn)
    if _is_as_listed(manifest, source, classes):
        same = _of_classes(source, classes)
        return replace(same, drawn=drawn) if drawn else same
    beside = (source.disputed, source.former)
    sets = [*source.splits, *(images for images in beside if images is not None)]
    train, blank = _gathered(manifest.pool, sets, classes)
    test, _ = _gathered(manifest.test, sets, classes)
    whole = replace(
        source,
        train=train,
        test=test,
        base=source,
        blank=frozenset(blank),
        drawn=drawn,
        own_split=False,
        former=None,
        disputed=None,
    )
    return _fingerprinted(whole, began_as)


def _is_as_listed(manifest: Manifest, source: Dataset, classes: Classes) -> bool:
    """Whether positions are the rows of the source, and its classes those that the experiment began
    with: then nothing is copied."""
    if source.train.class_names not in (classes.first_names[: len(source.train.class_names)], ()):
        return False
    for rows, images in zip((manifest.pool, manifest.test), source.splits, strict=True):
        names = images.class_names
        if not in_order(rows, images) or rows.where("digest", "").any():
            return False
        if not rows.where("label", *names, "").all():
            return False
        if not np.array_equal(rows.find("label", names), images.targets):
            return False
    return True


def _gathered(
    rows: ImageRows, sets: Sequence[ImageSet], classes: Classes
) -> tuple[ImageSet, list[int]]:
    """The images of ``rows``; and the places among them of those whose pixels are not known, which
    are black and of no class."""
    count, first = len(rows), sets[0]
    number_of = {name: max(classes.of_source(name), -1) for name in rows.counts("label")}
    classed = np.array([number_of[name] for name in rows.values("label")], np.int64)
    files = np.zeros(count, FILES)
    for name in ("digest", "shows"):
        files[name] = digests_from(rows.values(name))
    for name in ("width", "height"):
        files[name] = rows.values(name)
    known = np.concatenate([identities(one) for one in sets])
    found = np.where(rows.where("digest", ""), -1, rows.find("digest", hexadecimal(known)))
    targets = np.where(found < 0, -1, classed)
    images = _room((count, *first.images.shape[1:]))
    digests, start = np.zeros(count, digests_of(first).dtype), 0
    for one in sets:
        places = np.flatnonzero((found >= start) & (found < start + len(one)))
        there = found[places] - start
        digests[places] = digests_of(one)[there]
        for block in range(0, len(places), ROWS):
            part = slice(block, block + ROWS)
            images[places[part]] = one.images[there[part]]
        start += len(one)
    images.setflags(write=False)
    targets.setflags(write=False)
    whole = ImageSet(images, targets, classes.names, rows.values("key"), digests, files)
    return whole, np.flatnonzero(found < 0).tolist()


def _room(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeros of uint8. Many lie in a file that is gone with them: a system takes its memory back
    where another program needs it."""
    size, folder = math.prod(shape), home() / "cache"
    with suppress(OSError):
        if size >= IN_MEMORY and shutil.disk_usage(folder).free > 2 * size:
            with TemporaryFile(dir=folder) as file:
                return np.memmap(file, np.uint8, "w+", shape=shape)
    return np.zeros(shape, np.uint8)
