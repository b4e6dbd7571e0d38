"""Pictures that nearly show the same: scaled, compressed again, made lighter, or cut by a little.

Each is known by its lowest frequencies, as in a perceptual hash (pHash, Zauner 2010), but by their
values and in colour, and not by 64 bits: two skies with a bird in each have the same bits. Those
that are alike are found by random hyperplanes (Charikar 2002) and counted as near-copies where
their frequencies correlate. The figures behind the numbers here are in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from al_core.images.dataset import Dataset, identities
from al_core.progress import Progress, Work
from al_core.seeds import numpy_generator

ALIKE = 0.92  # correlation
CELLS = 16  # of a side that a picture is averaged to
KEPT = 8  # frequencies of each direction
# Figures, letters and icons are all alike to such a measure: of smaller pictures, and of those with
# fewer colours, nothing is said. Digits of 8x8 pixels have at most 17.
LEAST_SIDE, LEAST_COLOURS = 32, 32
BLOCK = 256  # pictures looked at between two reports
# Each table sorts the pictures by which side of BITS planes they lie on, and compares each with the
# NEXT ones if it shares the first SHARED bits: of pairs at the limit, one in five in each table.
TABLES, BITS, SHARED, NEXT = 32, 32, 12, 8


def near_copies(
    pictures: Iterable[NDArray[np.uint8]], files: NDArray[np.void]
) -> Work[list[list[int]]]:
    """The rows of ``pictures``, N of uint8 [3,S,S] in their squares, that nearly show the same,
    group by group; ``files`` FILES [N] has their own sizes.

    The time grows with N alone, whatever they show. Where S is less than CELLS nothing is found.
    """
    count, began = len(files), time.monotonic()
    rest = iter(pictures)
    rows = np.flatnonzero(np.maximum(files["width"], files["height"]) >= LEAST_SIDE)
    with TemporaryFile() as file:  # 768 MB of a million pictures
        for start in range(0, count, BLOCK):
            block = np.stack([*itertools.islice(rest, BLOCK)])
            if block.shape[-1] < CELLS:
                return []
            low, high = np.searchsorted(rows, (start, start + BLOCK))
            if low < high:
                file.write(_looks(block[rows[low:high] - start], files[rows[low:high]]).tobytes())
            done = start + len(block)
            yield Progress("Looking for copies", done, count, "images", time.monotonic() - began)
        if not len(rows):
            return []
        file.flush()
        looks = np.memmap(file, np.float32, "r").reshape(len(rows), -1)
        first, began = np.arange(len(rows)), time.monotonic()
        for table in range(TABLES):
            first = _linked(first, [*_alike(looks, table)])
            passed = time.monotonic() - began
            yield Progress("Comparing", table + 1, TABLES, "times", passed)
    of_group: dict[int, list[int]] = {}
    for row, its_first in zip(rows.tolist(), first.tolist(), strict=True):
        of_group.setdefault(its_first, []).append(row)
    return [group for group in of_group.values() if len(group) > 1]


def joined(groups: Iterable[Sequence[int]]) -> list[list[int]]:
    """Groups of rows without any row in two of them: those that share one become one. Each is in
    ascending order, and so are they, by their first rows."""
    of_row: dict[int, list[int]] = {}
    for first, *others in groups:
        group = of_row.setdefault(first, [first])
        for row in others:
            other = of_row.get(row, [row])
            if other is not group:
                group, other = (group, other) if len(group) >= len(other) else (other, group)
                group += other
                of_row |= dict.fromkeys(other, group)
    whole = {id(group): group for group in of_row.values()}
    return sorted(sorted(group) for group in whole.values() if len(group) > 1)


@lru_cache(4)
def measured(dataset: Dataset, copies_measure: bool) -> Dataset:
    """``dataset`` with the test images that may measure. Without ``copies_measure`` no truth is
    known of those that show, or nearly show, what an image to train on shows."""
    leaks = () if copies_measure else leaking(dataset)
    if not leaks:
        return dataset
    targets = dataset.test.targets.copy()
    targets[list(leaks)] = -1
    targets.setflags(write=False)
    test = replace(dataset.test, targets=targets)
    return replace(dataset, test=test, base=dataset.base or dataset)


@lru_cache(4)
def leaking(dataset: Dataset) -> tuple[int, ...]:
    """The test images of which there is a copy or a near-copy to train on. What was drawn from the
    pool has a place there still, and is no copy of itself."""
    if not (shown := _shown_by(dataset)):
        return ()
    train, test = (identities(images).tolist() for images in dataset.splits)
    drawn = dataset.drawn
    of_train = {shown[one] for i, one in enumerate(train) if one in shown and i not in drawn}
    return tuple(i for i, one in enumerate(test) if shown.get(one) in of_train)


def number_of_tests(dataset: Dataset) -> int:
    """How many test images there are; those that came to train have left an empty place."""
    return sum(map(any, identities(dataset.test).tolist()))


def copies_among(dataset: Dataset, images: Iterable[int], of: Iterable[int]) -> set[int]:
    """Those of the training ``images`` of which a copy or near-copy is among the ones ``of``."""
    if not (shown := _shown_by(dataset)):
        return set()
    train = identities(dataset.train)
    theirs = {shown.get(train[i].tobytes()) for i in of} - {None}
    return {i for i in images if shown.get(train[i].tobytes()) in theirs}


def groups_in_pool(dataset: Dataset) -> dict[int, int]:
    """By its position, the number of the group of copies and near-copies that a training image is
    in; those that are in none are left out."""
    if not (shown := _shown_by(dataset)):
        return {}
    train = identities(dataset.train).tolist()
    return {i: shown[one] for i, one in enumerate(train) if one in shown}


@lru_cache(4)
def _shown_by(dataset: Dataset) -> dict[bytes, int]:
    """The group of copies and near-copies that a picture is in, by what identifies it."""
    base = dataset.base or dataset
    groups = [*base.copies, *base.near_copies]
    if not groups:
        return {}
    inside = {key for group in groups for key in group}
    known = {
        key: one
        for images in base.splits
        for key, one in zip(images.keys, identities(images).tolist(), strict=True)
        if key in inside
    }
    number = {one: i for i, one in enumerate(dict.fromkeys(known.values()))}
    rows = [[number[known[key]] for key in group if key in known] for group in groups]
    of_row = {row: n for n, group in enumerate(joined(filter(None, rows))) for row in group}
    # Copies that have the same bytes are one number, and a group of their own.
    alone = {row[0] for row in rows if row} - of_row.keys()
    of_row |= {row: len(number) + row for row in alone}
    return {one: of_row[row] for one, row in number.items() if row in of_row}


def _looks(images: NDArray[np.uint8], files: NDArray[np.void]) -> NDArray[np.float32]:
    """What tells pictures apart, float32 [n,D] of length 1, zeros for what cannot be told apart.

    The frequencies of photographs fall with their number; multiplied by it, all of them count, and
    not only how a sky gets lighter."""
    from scipy.fft import dctn

    side, n = images.shape[-1], len(images)
    # The share of each pixel in each cell of its row or column, [S,CELLS].
    share = np.repeat(np.eye(CELLS), side, axis=0).reshape(side, CELLS, CELLS).mean(axis=1)
    share = (share * CELLS / side).astype(np.float32)
    cells = share.T @ (images.astype(np.float32) @ share)
    # What fills the square beside a picture is the same in all, and tells nothing of it.
    longer, middles = np.maximum(files["width"], files["height"]), np.arange(1 - CELLS, CELLS, 2)
    across, down = (
        np.abs(middles) < np.maximum(files[name] * CELLS / longer, 2)[:, None]
        for name in ("width", "height")
    )
    inside = (down[:, :, None] & across[:, None, :])[:, None]
    mean = np.mean(cells, axis=(2, 3), where=inside, keepdims=True)
    cells = np.where(inside, cells, mean).astype(np.float32)
    kept = dctn(cells, axes=(2, 3), norm="ortho")[:, :, :KEPT, :KEPT]
    looks = kept * np.hypot(*np.ogrid[:KEPT, :KEPT]).astype(np.float32)
    looks = looks.reshape(n, 3 * KEPT * KEPT)
    length = np.linalg.norm(looks, axis=1)
    told = (length > 0) & (_colours(images) >= LEAST_COLOURS)
    return np.where(told[:, None], looks / np.maximum(length, 1e-9)[:, None], np.float32(0))


def _colours(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How many colours each picture has, in at most 64x64 of its pixels."""
    step = max(images.shape[-1] // LEAST_SIDE, 1)
    red, green, blue = images[:, :, ::step, ::step].astype(np.uint32).transpose(1, 0, 2, 3)
    colours = np.sort((red << 16 | green << 8 | blue).reshape(len(images), -1), axis=1)
    return (colours[:, 1:] != colours[:, :-1]).sum(axis=1) + 1  # type: ignore[no-any-return]


def _linked(first: NDArray[np.int64], pairs: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The first row of the group that each row is in, int64 [n], after ``pairs`` were found."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(first)
    left, right = np.concatenate([np.stack([np.arange(count), first], axis=1), *pairs]).T
    known = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(count, count))
    _, group = connected_components(known, directed=False)
    return np.unique(group, return_index=True)[1][group]  # type: ignore[no-any-return]


def _alike(looks: NDArray[np.float32], table: int) -> Iterator[NDArray[np.int64]]:
    """Pairs of rows that are alike, int64 [P,2], as far as one table finds them."""
    chance = numpy_generator(0, "planes", table)
    planes = chance.standard_normal((looks.shape[1], BITS), np.float32)
    codes = np.packbits(looks @ planes > 0, axis=1).view(">u4").ravel().astype(np.uint32)
    order = np.argsort(codes, kind="stable")
    for step in range(1, min(NEXT + 1, len(order))):
        left, right = order[:-step], order[step:]
        near = (codes[left] ^ codes[right]) >> (BITS - SHARED) == 0
        left, right = left[near], right[near]
        is_alike = [
            np.einsum("nd,nd->n", looks[left[at : at + BLOCK]], looks[right[at : at + BLOCK]])
            for at in range(0, len(left), BLOCK)
        ]
        if is_alike:
            pairs = np.stack([left, right], axis=1)
            yield pairs[np.concatenate(is_alike) >= ALIKE]
