"""What has changed in a source: the rows by which its manifest will tell of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import numpy as np

from al_core.experiment.listed import Listed, listed, unchanged
from al_core.experiment.manifest import Manifest
from al_core.images.dataset import Dataset
from al_core.sources.listing import composed
from al_core.store.records import (
    CHANGED,
    DRAWN,
    HERE,
    LISTED,
    MEASURES,
    MISSING,
    POOL,
    TEST,
    ImageRow,
    now,
)

T = TypeVar("T")


def compare(manifest: Manifest, source: Dataset) -> list[ImageRow]:
    """The rows by which ``manifest`` tells of what a ``source`` holds now; none where nothing has
    changed.

    Files with the same bytes come first, whatever their names are: labels go with pictures. Then
    files that show the same, as where a rating was written into them. Where a name alone is the
    same, somebody has to say whether the picture is. Those that were only listed, and have another
    name by now, are known by their size and time. What is left is new, or missing.
    """
    every = manifest.pool + manifest.test
    same, held = unchanged(manifest, source)
    before, images = [*every.take(np.flatnonzero(~same))], listed(source, held)
    found: dict[int, Listed] = {}  # by the place in ``before``
    left = dict.fromkeys(images)
    for by in ("digest", "shows"):
        _pair(by, before, found, left)
    _join_copies(found, left)
    asked = _pair_by_name(before, found, left)
    has_test = source.own_split and len(source.test) > 0
    _pair_moved(before, has_test, found, left)
    _pair_unseen(before, images, found, left)
    has_classes = any((images.targets >= 0).any() for images in source.splits)
    known = every.counts("label").keys() | {""}
    at, drawn, rows = now(), set(manifest.drawn), []
    for place, row in enumerate(before):
        if one := found.get(place):
            state = _there(row, drawn)
            if row.state != state or not one.is_at(row):
                told = replace(one.at(row), state=state, created_at=at)
                # A folder that got another name, or one that cannot be read for classes any more,
                # says nothing of the class.
                if row.label and (one.label not in known or not has_classes):
                    told = replace(told, label=row.label)
                rows.append(told)
        elif place in asked and row.state != CHANGED:
            # Its further names may be those of other images by now.
            rows.append(replace(row, state=CHANGED, other_names=(), created_at=at))
        elif place not in asked and row.state != MISSING:
            rows.append(replace(row, state=MISSING, created_at=at))
    return rows + _appended(manifest, (one for one in left if not one.disputed), at)


def same_picture(
    manifest: Manifest, images: Sequence[Listed], asked: Iterable[ImageRow]
) -> list[ImageRow]:
    """The rows after somebody has said that the files of images that were ``asked`` about show the
    same picture as before, changed. A file that is not there any more stays in question."""
    drawn, at, shown = set(manifest.drawn), now(), _shown(manifest)
    rows = []
    for row, one in _files_of(asked, images):
        # A copy that came before the answer is one image with it.
        alike = shown.get(one.shows)
        joined = one.called((alike.key, *alike.other_names)) if alike else one
        shown[one.shows] = replace(joined.at(row), state=_there(row, drawn), created_at=at)
        rows.append(shown[one.shows])
        if alike:
            rows.append(gone(alike, at))
    return rows


def another_picture(
    manifest: Manifest, images: Sequence[Listed], asked: Iterable[ImageRow]
) -> list[ImageRow]:
    """The rows after somebody has said that they show another one: it gets a position of its own,
    or is one image with the copy of it that is there."""
    at, shown = now(), _shown(manifest)
    rows: list[ImageRow] = []
    new: dict[Listed, None] = {}
    for row, one in _files_of(asked, images):
        rows.append(replace(row, state=MISSING, created_at=at))
        if alike := shown.get(one.shows):
            names = (*alike.other_names, *(name for name in one.names if name != alike.key))
            shown[one.shows] = replace(alike, other_names=names, created_at=at)
            rows.append(shown[one.shows])
        else:
            new[one] = None
    return rows + _appended(manifest, new, at)


def _files_of(
    asked: Iterable[ImageRow], images: Iterable[Listed]
) -> Iterator[tuple[ImageRow, Listed]]:
    """The rows whose names are there, and what is there under them."""
    by_name = {name: one for one in images for name in one.names}
    return ((row, one) for row in asked if (one := _named(row, by_name)))


def _shown(manifest: Manifest) -> dict[str, ImageRow]:
    """The images that are there, by what they show."""
    rows = [*manifest.pool, *manifest.test]
    return {r.shows: r for r in reversed(rows) if r.state in (HERE, MEASURES) and r.shows}


def gone(row: ImageRow, at: datetime) -> ImageRow:
    """``row`` once its picture stands at another position: without digests, nothing brings it
    back."""
    return replace(row, created_at=at, state=MISSING, digest="", shows="", other_names=())


def measuring(rows: Sequence[ImageRow], first: int, at: datetime) -> list[ImageRow]:
    """The rows by which images of the pool become test images, the ``first`` of them there."""
    return [replace(row, state=MEASURES, created_at=at) for row in rows] + [
        replace(row, split=DRAWN, position=first + i, created_at=at) for i, row in enumerate(rows)
    ]


def _named(row: ImageRow, by_name: Mapping[str, Listed]) -> Listed | None:
    return by_name.get(row.key) or by_name.get(composed(row.key))


def _there(row: ImageRow, drawn: Collection[int]) -> str:
    """The state of an image that is there."""
    return MEASURES if row.split == POOL and row.position in drawn else HERE


def _pair(
    by: str, before: Sequence[ImageRow], found: dict[int, Listed], left: dict[Listed, None]
) -> None:
    """Find the pictures of positions among those ``left``, by a digest of both. The same picture at
    several positions, or several times in a table, keeps its name where it can."""
    same: dict[str, list[Listed]] = {}
    for one in left:
        if digest := getattr(one, by):
            same.setdefault(digest, []).append(one)
    wanting = [place for place, row in enumerate(before) if place not in found]
    by_name = {(getattr(one, by), name): one for one in left for name in one.names}
    wanting.sort(key=lambda place: (getattr(before[place], by), before[place].key) not in by_name)
    for place in wanting:
        digest = getattr(before[place], by)
        if choices := same.get(digest):
            one = by_name.get((digest, before[place].key), choices[0])
            if one not in left:
                one = next((other for other in choices if other in left), one)
            found[place] = one
            left.pop(one, None)


def _join_copies(found: dict[int, Listed], left: dict[Listed, None]) -> None:
    """What came later and shows what an image shows that is there counts as that image, under a
    further name, so that nothing is learned from a copy of one that measures."""
    shown = {one.shows: place for place, one in reversed(found.items()) if one.shows}
    for one in list(left):
        if (place := shown.get(one.shows)) is not None:
            found[place] = found[place].called(one.names)
            del left[one]


def _pair_by_name(
    before: Sequence[ImageRow], found: dict[int, Listed], left: dict[Listed, None]
) -> set[int]:
    """Find those of which nothing but a name is known, as the list has it, or a log of an earlier
    version; and return the places of those that somebody has to be asked about, since another
    picture has their name."""
    asked = set()
    by_name = {name: one for one in left for name in one.names}
    for place, row in enumerate(before):
        one = _named(row, by_name)
        if place in found or row.state == MISSING or one is None:
            continue
        is_copy = row.state == LISTED and one not in left  # of a file that came before it
        left.pop(one, None)
        if row.digest:
            asked.add(place)
        elif not is_copy:
            found[place] = one
    return asked


def _pair_moved(
    before: Sequence[ImageRow],
    has_test: bool,
    found: dict[int, Listed],
    left: dict[Listed, None],
) -> None:
    """Find the files of the list that got another name before they were read, by their size and
    time, where only one comes into question: first one that is called the same in another folder.
    Nobody was shown them, so no label can go to another picture."""
    for renamed in (False, True):
        rows = _only(
            (_trace(row.key, row.stamp, renamed), place)
            for place, row in enumerate(before)
            if place not in found and row.stamp
        )
        files = _only((_trace(one.names[0], one.stamp, renamed), one) for one in left if one.stamp)
        for trace, place in rows.items():
            if (one := files.get(trace)) is None or one.disputed:
                continue
            if not has_test or one.measures == (before[place].split == TEST):
                found[place] = one
                del left[one]


def _trace(name: str, stamp: str, renamed: bool) -> tuple[str, str]:
    """By what a file is known again in another folder or, where it was ``renamed``, anywhere."""
    return "" if renamed else name.rpartition("/")[2], stamp


def _only(pairs: Iterable[tuple[tuple[str, str], T]]) -> dict[tuple[str, str], T]:
    """Those of ``pairs`` whose first is that of no other."""
    alike: dict[tuple[str, str], list[T]] = {}
    for first, second in pairs:
        alike.setdefault(first, []).append(second)
    return {first: those[0] for first, those in alike.items() if len(those) == 1}


def _pair_unseen(
    before: Sequence[ImageRow],
    images: Iterable[Listed],
    found: dict[int, Listed],
    left: dict[Listed, None],
) -> None:
    """Where files of the list swapped their names before they were read, and some of them were
    shown to nobody, it does not matter which of those is which: none of them is new."""
    names, listed_as = {name for one in images for name in one.names}, {row.key for row in before}
    unseen = [one for one in left if not listed_as.isdisjoint(one.names)]
    for place, row in enumerate(before):
        if row.state == LISTED and place not in found and not row.digest and row.key in names:
            alike = (one for one in unseen if one.measures == (row.split == TEST) and one in left)
            if one := next(alike, None):
                found[place] = one
                del left[one]


def _appended(manifest: Manifest, images: Iterable[Listed], at: datetime) -> list[ImageRow]:
    """Rows of new images. They join the pool, or the test set where that is the source's own and
    the source says so; where ours was drawn from the pool, its test images are not used."""
    own_test = manifest.test.where("split", TEST).any()
    pool, test = len(manifest.pool), len(manifest.test)
    rows = []
    for one in _merged(images):
        if not one.measures:
            rows.append(one.at(ImageRow(POOL, pool, "", created_at=at)))
            pool += 1
        elif own_test:
            rows.append(one.at(ImageRow(TEST, test, "", created_at=at)))
            test += 1
    return rows


def _merged(images: Iterable[Listed]) -> list[Listed]:
    """Images that show the same are one, under all of their names."""
    shown: dict[str, Listed] = {}
    for number, one in enumerate(images):
        which = one.shows or f"{number}"
        if first := shown.get(which):
            measures = first.measures and one.measures
            one = replace(first, names=first.names + one.names, measures=measures)
        shown[which] = one
    return list(shown.values())
