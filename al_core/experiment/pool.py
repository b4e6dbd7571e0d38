"""Which images are labelled: a fold over the annotations."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_core.store.records import TAKEN_OUT, Annotation, what_stands


def without(images: NDArray[np.int64], others: Collection[int]) -> NDArray[np.int64]:
    """Those of ``images`` that are not among the ``others``, in their order; of a million in ten
    milliseconds, which ``np.setdiff1d`` hashes for a second."""
    return images[np.isin(images, np.array([*others], np.int64), invert=True)]


def taken_out(annotations: Iterable[Annotation]) -> frozenset[int]:
    """The images of which a person has said that they are not of the class that was offered, and
    nothing since."""
    annotations = list(annotations)
    images = {a.image for a in annotations if a.reason == TAKEN_OUT}
    standing = what_stands(a for a in annotations if a.image in images) if images else {}
    last = {image: rows[-1] for image, rows in standing.items() if rows}
    return frozenset(i for i, a in last.items() if a.cleared and a.reason == TAKEN_OUT)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The training set's positions, split by their answers.

    ``answers`` holds the last annotation of each image that has one, unless that clears it.
    """

    size: int
    answers: dict[int, Annotation]

    @classmethod
    def fold(cls, size: int, annotations: Iterable[Annotation]) -> Pool:
        """The pool of ``size`` images after ``annotations``, in the order they were made."""
        annotations = list(annotations)
        last = {a.image: a for a in annotations}
        # The last row counts, except for images with an undo, and those are few.
        if undone := {a.image for a in annotations if a.undoes}:
            for image, standing in what_stands(a for a in annotations if a.image in undone).items():
                if standing:
                    last[image] = standing[-1]
                else:
                    del last[image]
        return cls(size, {image: a for image, a in last.items() if not a.cleared})

    def without(self, images: Collection[int]) -> Pool:
        """This pool without the answers for ``images``."""
        return Pool(self.size, {i: a for i, a in self.answers.items() if i not in images})

    @property
    def labeled(self) -> NDArray[np.int64]:
        """Positions that have a label, ascending, int64 ``[L]``."""
        return self._positions(a.image for a in self.answers.values() if a.label is not None)

    @property
    def skipped(self) -> NDArray[np.int64]:
        """Positions that were skipped, ascending, int64 ``[S]``; they are not asked about again."""
        return self._positions(a.image for a in self.answers.values() if a.label is None)

    @property
    def unlabeled(self) -> NDArray[np.int64]:
        """Positions without an answer, ascending, int64 ``[U]``."""
        is_open = np.ones(self.size, dtype=bool)
        is_open[list(self.answers)] = False
        return np.flatnonzero(is_open)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels of :attr:`labeled`, in its order, int64 ``[L]``."""
        return np.array([self.answers[i].label for i in self.labeled.tolist()], dtype=np.int64)

    @staticmethod
    def _positions(images: Iterable[int]) -> NDArray[np.int64]:
        return np.sort(np.fromiter(images, dtype=np.int64))
