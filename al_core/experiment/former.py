"""The manifest of an experiment that was started before manifests were written, and whose source
has changed meanwhile: from the cache of its images, or from the names in its labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from al_core.experiment.experiment import Experiment
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.store.records import DRAWN, HERE, MISSING, POOL, TEST, ImageRow, now


def manifest_of_before(experiment: Experiment, source: Dataset) -> list[ImageRow]:
    """What the manifest would have been when the experiment was started.

    Positions of which nothing is known count as missing: then their images are new ones, and
    positions that labels name find theirs by that name alone. Then no more is known of the test
    images than that ``source`` has some, and they are those of them that have no label.
    """
    at = now()
    for folder, index in _caches(home() / "cache", experiment.fingerprint):
        count, keys = index["train"], index["keys"]
        if count == experiment.pool_size:
            files = _files(folder, keys, index["class_names"])
            rows = zip(keys, files, strict=True)
            pool = [_row(POOL, i, *one, at) for i, one in enumerate(rows) if i < count]
            split = TEST if index.get("own_split", source.own_split) else DRAWN
            rows = zip(keys[count:], files[count:], strict=True)
            return pool + [_row(split, i, *one, at) for i, one in enumerate(rows)]
    names = {a.image: a.key for a in experiment.annotations if a.key}
    pool = [
        ImageRow(POOL, i, names.get(i, ""), state=HERE if i in names else MISSING, created_at=at)
        for i in range(experiment.pool_size)
    ]
    split = TEST if source.own_split else DRAWN
    labelled = set(names.values())
    test = [key for key in source.test.keys if key not in labelled]
    return pool + [ImageRow(split, i, key, created_at=at) for i, key in enumerate(test)]


def _files(folder: Path, keys: list[str], classes: list[str]) -> list[dict[str, Any]]:
    """What a cache knows of each of its files: digests, sizes and classes, or nothing."""
    count, names = len(keys), [*classes, ""]
    with suppress(OSError, ValueError):
        files = np.load(folder / "files.npy")[:count]
        targets = np.load(folder / "targets.npy")[:count].tolist()
        shown = files["shows"] if "shows" in files.dtype.names else None
        return [
            {
                "digest": one["digest"].tobytes().hex(),
                "shows": "" if shown is None else shown[i].tobytes().hex(),
                "width": int(one["width"]),
                "height": int(one["height"]),
                "label": names[targets[i]],
            }
            for i, one in enumerate(files)
        ]
    return [{}] * count


def _row(split: str, position: int, key: str, about: dict[str, Any], at: datetime) -> ImageRow:
    return ImageRow(split, position, key, created_at=at, **about)


def _caches(cache_dir: Path, fingerprint: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The caches of images with this fingerprint, and their indexes."""
    for path in sorted(cache_dir.glob("*/index.json")):
        with suppress(OSError, ValueError):
            body = path.read_text("utf-8").partition("\n")[2]
            if f'"{fingerprint}"' in body:
                index = json.loads(body)
                if isinstance(index, dict) and index.get("fingerprint") == fingerprint:
                    yield path.parent, index
