"""The images of a source before any is decoded, so that somebody can begin to label at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from al_core.images.dataset import Dataset, ImageSet
from al_core.images.split import split
from al_core.pictures.digests import FILES
from al_core.pictures.pictures import Pictures
from al_core.progress import Work
from al_core.sources.content import Content


def outline(source: str, content: Content, image_size: int) -> Dataset | None:
    """The images of a source by their names alone: their pixels are all 0, and their files are
    known of those alone that :func:`identify` was asked for.

    They train and test as they will once they are read, but for copies, of which nothing is known
    yet. None where that is not enough to begin with: the source has no files, or one class only.
    """
    parts = split(content)
    if content.at is None or not len(parts.train) or content.only_class(parts.train):
        return None

    def read() -> Work[Content]:
        yield from ()
        return content

    rows = np.concatenate([parts.train, parts.test])
    keys, targets = [content.keys[row] for row in rows.tolist()], content.targets[rows]
    pixels = np.broadcast_to(np.uint8(0), (len(keys), 3, image_size, image_size))
    files, names, count = np.zeros(len(keys), FILES), content.class_names, len(parts.train)
    listed = ImageSet(pixels, targets, names, keys, files=files)
    train, test = (
        replace(listed, images=pixels[which], targets=targets[which], keys=keys[which],
                files=files[which])
        for which in (slice(count), slice(count, None))
    )  # fmt: skip
    digest = hashlib.sha256(json.dumps([image_size, names, keys, count]).encode())
    return Dataset(
        source,
        train=train,
        test=test,
        fingerprint=digest.hexdigest()[:16],
        unreadable=content.left_out,
        pictures=Pictures(read, keys, files["digest"], pixels, {}),
        own_split=content.has_own_split,
        stamps=content.stamps,
        is_outline=True,
    )


def identify(dataset: Dataset, images: Iterable[int]) -> None:
    """Digest the files of these training images of an outline, as far as that was not done."""
    assert dataset.pictures is not None
    assert dataset.train.files is not None
    dataset.pictures.identify(dataset.train.files, images)
