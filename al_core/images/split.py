"""Which images of a source train and which measure: copies lie on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from al_core.images.near_copies import joined
from al_core.sources.content import Content

TEST_SHARE = 0.2
OF_FILES = ("folder", "zip")  # kinds of sources whose images are files
FEWEST_TESTED = 2  # images; fewer say nothing of a class
SMALLEST_SPLIT = 4  # images of a class; with fewer, all are needed to train on


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows of a content, int64: to train on, to test with. ``copies``: rows that show the same,
    group by group."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    copies: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class OneOfEach:
    """The N files of a ``content`` without their copies: ``is_image`` bool [N] says which rows are
    images, and ``others`` has the further rows of each that has some. Of those, the files of the
    ones that ``differ`` lie in folders of different classes, and those ``in_both`` among images to
    train and to test with."""

    content: Content
    is_image: NDArray[np.bool_]
    others: dict[int, list[int]] = field(default_factory=dict)
    differ: list[int] = field(default_factory=list)
    in_both: list[int] = field(default_factory=list)


def one_of_each(
    content: Content, readable: NDArray[np.bool_], digests: NDArray[np.void], kind: str
) -> OneOfEach:
    """Files with the same bytes, by the ``digests`` of those, are one image, the first of them.

    It measures only if all of them do. Where their classes differ it has none, and is left out if
    all others have one, and are more. Rows of a table stay as they are, and so do sources without
    files.
    """
    if kind not in OF_FILES:
        return OneOfEach(content, readable)
    targets, in_test, kept = content.targets.copy(), content.in_test.copy(), readable.copy()
    others: dict[int, list[int]] = {}
    differ: list[int] = []
    in_both: list[int] = []
    for first, *rest in _copies(readable, digests):
        rows = [first, *rest]
        classes = set(targets[rows].tolist()) - {-1}
        targets[first] = classes.pop() if len(classes) == 1 else -1
        if classes:
            differ.append(first)
        if in_test[rows].any() and not in_test[rows].all():
            in_both.append(first)
            in_test[first] = False
        kept[rest] = False
        others[first] = rest
    # Among images that all have a class, one without would have none to be simulated by.
    known = (content.targets[readable] >= 0).all()
    if known and 2 * len(differ) < np.count_nonzero(kept):
        kept[differ] = False
    content = replace(content, targets=targets, in_test=in_test)
    return OneOfEach(content, kept, others, differ, in_both)


def split(
    content: Content,
    readable: NDArray[np.bool_] | None = None,
    digests: NDArray[np.void] | None = None,
    near: Sequence[Sequence[int]] = (),
) -> Split:
    """The readable images (all if None) that train and that measure.

    Without a labelled test split of the source, a fifth of each class measures: at least
    FEWEST_TESTED images of a class of SMALLEST_SPLIT or more, and none of a smaller one. A hash of
    the keys decides which: the same on every machine, and nearly the same after a few images were
    added. Copies, which have the same of ``digests``, and groups of ``near``-copies all lie on one
    side, and train where they are not of one class.
    """
    readable = np.ones(len(content.keys), dtype=np.bool_) if readable is None else readable
    copies = _copies(readable, digests)
    known = content.targets >= 0
    in_test = content.in_test & known & readable
    in_train = ~content.in_test & readable
    if not in_test.any():
        group_of = {row: group for group in joined([*copies, *near]) for row in group}
        for target in np.unique(content.targets[in_train & known]):
            of_class = np.flatnonzero(in_train & (content.targets == target)).tolist()
            alike = {rows[0]: rows for rows in (group_of.get(r, [r]) for r in of_class)}
            groups = [g for g in alike.values() if (content.targets[g] == target).all()]
            in_test[_tested(groups, len(of_class), content.keys)] = True
        in_train &= ~in_test
    return Split(np.flatnonzero(in_train), np.flatnonzero(in_test), copies)


def _copies(readable: NDArray[np.bool_], digests: NDArray[np.void] | None) -> list[list[int]]:
    groups: dict[bytes, list[int]] = {}
    if digests is not None:
        for row in np.flatnonzero(readable).tolist():
            groups.setdefault(digests[row].tobytes(), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


def _tested(groups: Sequence[list[int]], count: int, keys: Sequence[str]) -> list[int]:
    """The rows of a class of ``count`` images that measure: whole groups, and never all of them."""
    if count < SMALLEST_SPLIT:
        return []
    wanted = max(round(TEST_SHARE * count), FEWEST_TESTED)
    shuffled = sorted(groups, key=lambda group: min(_hash(keys[row]) for row in group))
    tested: list[int] = []
    for group in shuffled:
        if len(tested) + len(group) <= wanted and len(tested) + len(group) < count:
            tested += group
    least = min(shuffled, key=len, default=[])
    if not tested and 2 * len(least) <= count:
        return least
    return tested


def _hash(key: str) -> str:
    return hashlib.sha256(f"split 0 {key}".encode()).hexdigest()
