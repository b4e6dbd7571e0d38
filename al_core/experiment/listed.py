"""The images of a source as a manifest tells of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_core.experiment.manifest import Manifest
from al_core.images.dataset import Dataset, ImageSet
from al_core.pictures.digests import hexadecimal
from al_core.store.image_rows import ImageRows
from al_core.store.records import DRAWN, HERE, LISTED, POOL, TEST, ImageRow, now

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Listed:
    """One image of a source: its names, digests as in :class:`ImageRow`, size in pixels, whether it
    is one to test with, and whether the source itself says so, and its class, if any. One that is
    ``disputed``, as its files lie in folders of different classes, counts for who knows it already.
    ``stamp``: the size and time of its file, "" where they are not known.
    """

    names: tuple[str, ...]
    digest: str
    shows: str
    width: int
    height: int
    is_test: bool = False
    measures: bool = False
    label: str = ""
    disputed: bool = False
    stamp: str = ""

    def called(self, others: Sequence[str]) -> Listed:
        """The same picture, which has further names."""
        new = tuple(name for name in others if name not in self.names)
        return replace(self, names=self.names + new) if new else self

    def is_at(self, row: ImageRow) -> bool:
        """Whether ``row`` says all this already."""
        same = row.digest == self.digest and row.shows != ""
        size = (row.width, row.height) == (self.width, self.height)
        return same and size and {row.key, *row.other_names} == {*self.names}

    def at(self, row: ImageRow) -> ImageRow:
        """``row`` with this picture; its name stays, if it is one of these."""
        key = row.key if row.key in self.names else self.names[0]
        # Another version of a decoder may give the same file other pixels.
        same_file = row.digest == self.digest and row.shows
        return replace(
            row,
            key=key,
            other_names=tuple(name for name in self.names if name != key),
            digest=self.digest,
            shows=row.shows if same_file else self.shows,
            width=self.width,
            height=self.height,
            label=row.label if row.digest else self.label,  # nothing but its name was known
            stamp="" if self.digest else self.stamp,
        )


def listed(source: Dataset, but: Collection[int] = ()) -> list[Listed]:
    """The images of a source, whose files are known: those of the pool first. Without those whose
    places are in ``but``."""
    found, place = [], -1
    for images, is_test, disputed in _sets(source):
        assert images.files is not None
        classes = (*images.class_names, "")
        digests, shows = (hexadecimal(images.files[one]).to_pylist() for one in ("digest", "shows"))
        for i, key in enumerate(images.keys):
            if (place := place + 1) in but:
                continue
            file = images.files[i]
            found.append(
                Listed(
                    (key, *source.other_names.get(key, ())),
                    digests[i],
                    shows[i],
                    int(file["width"]),
                    int(file["height"]),
                    is_test,
                    is_test and source.own_split,
                    classes[images.targets[i]],
                    disputed,
                    " ".join(map(str, source.stamps.get(key, ())[:2])),
                )
            )
    return found


def _sets(source: Dataset) -> list[tuple[ImageSet, bool, bool]]:
    """The sets of a source, and of each whether it is to test with, and whether it is disputed."""
    sets = [(source.train, False, False), (source.test, True, False)]
    return sets if source.disputed is None else [*sets, (source.disputed, False, True)]


def began_with(source: Dataset) -> ImageRows:
    """The first rows of an experiment on ``source``."""
    parts = []
    split, at = TEST if source.own_split else DRAWN, now()
    for images, of in zip(source.splits, (POOL, split), strict=True):
        assert images.files is not None
        digests, count = hexadecimal(images.files["digest"]), len(images)
        stamps = [source.stamps.get(key, ())[:2] if source.stamps else () for key in images.keys]
        parts.append(ImageRows.of_columns({
            "split": [of] * count,
            "position": np.arange(count),
            "key": images.keys,
            "other_names": [[*source.other_names.get(key, ())] for key in images.keys],
            "digest": digests,
            "shows": hexadecimal(images.files["shows"]),
            "width": images.files["width"].astype(np.int64),
            "height": images.files["height"].astype(np.int64),
            "state": [LISTED if source.is_outline else HERE] * count,
            "label": np.array((*images.class_names, ""), object)[images.targets],
            "created_at": [at] * count,
            "stamp": ["" if digest else " ".join(map(str, stamp))
                      for digest, stamp in zip(digests.to_pylist(), stamps, strict=True)],
        }))  # fmt: skip
    return parts[0] + parts[1]


@lru_cache(8)
def _names_and_digests(images: ImageSet) -> tuple[pa.Array, pa.Array]:
    """Cached: each opening of a large pool compares them with its manifest."""
    import pyarrow as pa

    assert images.files is not None
    return pa.array(images.keys, pa.string()), hexadecimal(images.files["digest"])


def in_order(rows: ImageRows, images: ImageSet) -> bool:
    """Whether ``rows`` tell of just these images, by their names and bytes, in this order."""
    keys, digests = _names_and_digests(images)
    return rows.same("key", keys) and rows.same("digest", digests)


def is_as_told(manifest: Manifest, source: Dataset) -> bool:
    """Whether a source is as its manifest tells, which is quicker to see than what has changed."""
    others: dict[str, set[str]] = {}
    for rows, images in zip((manifest.pool, manifest.test), source.splits, strict=True):
        assert images.files is not None
        if not in_order(rows, images):
            return False
        if not rows.where("state", HERE).all() or rows.where("shows", "").any():
            return False
        if rows.further_names():
            further = zip(images.keys, rows.values("other_names"), strict=True)
            others |= {key: {*names} for key, names in further if names}
    return others == {key: {*names} for key, names in source.other_names.items() if names}


def unchanged(manifest: Manifest, source: Dataset) -> tuple[NDArray[np.bool_], frozenset[int]]:
    """Of which rows of the pool and then of the test set a ``source`` holds just what they say,
    bool [N], and the places of these images among those :func:`listed`. None of them has the bytes
    or the look of any that is left, so only those need be compared: objects of all images of a
    large pool take a minute and gigabytes."""
    rows = manifest.pool + manifest.test
    files = [images.files for images, *_ in _sets(source) if images.files is not None]
    there = np.concatenate(files)
    keys = [key for images, *_ in _sets(source) for key in images.keys]
    place = rows.find("key", keys)
    of_source = ImageRows.of_columns({
        "split": [POOL] * len(keys), "position": np.arange(len(keys)), "key": keys,
        "digest": hexadecimal(there["digest"]), "shows": hexadecimal(there["shows"]),
        "width": there["width"].astype(np.int64), "height": there["height"].astype(np.int64),
    })  # fmt: skip
    beside = of_source.take(np.maximum(place, 0))
    same = (place >= 0) & rows.where("state", HERE) & ~rows.where("shows", "")
    for name in ("digest", "shows", "width", "height"):
        same &= rows.alike(beside, name)
    same[manifest.drawn] = False
    for place_of, names in enumerate(rows.values("other_names") if rows.further_names() else ()):
        same[place_of] &= not names
    same &= ~np.isin(place, np.flatnonzero([key in source.other_names for key in keys]))
    same &= place < sum(map(len, source.splits))  # what is disputed counts otherwise
    times = np.bincount(place[same], minlength=len(keys))
    same[same] = times[place[same]] == 1
    while True:
        left = ~np.isin(np.arange(len(keys)), place[same])
        texts = {
            text
            for part in (rows.take(np.flatnonzero(~same)), of_source.take(np.flatnonzero(left)))
            for name in ("digest", "shows")
            for text in part.values(name)
        }
        like = same & (rows.where("digest", *texts) | rows.where("shows", *texts))
        if not like.any():
            return same, frozenset(place[same].tolist())
        same &= ~like
