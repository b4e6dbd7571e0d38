"""Who is labelled: a fold over the annotations."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_core.store.records import Annotation, what_stands


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The training set's positions, split by what has been said of them.

    ``answers`` holds the last annotation of each image that has one and was not cleared.
    """

    size: int
    answers: dict[int, Annotation]

    @classmethod
    def fold(cls, size: int, annotations: Iterable[Annotation]) -> Pool:
        """The pool of ``size`` images after ``annotations``, in the order they were made."""
        annotations = list(annotations)
        last = {said.image: said for said in annotations}
        # Few images have an undo, and only there is the last row not what counts.
        if undone := {said.image for said in annotations if said.undoes}:
            for image, said in what_stands(a for a in annotations if a.image in undone).items():
                if said:
                    last[image] = said[-1]
                else:
                    del last[image]
        return cls(size, {image: said for image, said in last.items() if not said.cleared})

    def without(self, images: Collection[int]) -> Pool:
        """What is known apart from what was said of ``images``."""
        return Pool(self.size, {i: said for i, said in self.answers.items() if i not in images})

    @property
    def labeled(self) -> NDArray[np.int64]:
        """Positions that have a label, ascending, int64 ``[L]``."""
        return self._positions(a.image for a in self.answers.values() if a.label is not None)

    @property
    def skipped(self) -> NDArray[np.int64]:
        """Positions that were skipped, ascending, int64 ``[S]``; they are not asked again."""
        return self._positions(a.image for a in self.answers.values() if a.label is None)

    @property
    def unlabeled(self) -> NDArray[np.int64]:
        """Positions that nothing was said of, ascending, int64 ``[U]``."""
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
