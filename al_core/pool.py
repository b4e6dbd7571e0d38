"""Who is labelled: a fold over the annotations."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.names import checked

TRUTH = "truth"  # the annotator of labels that came with the images


def annotator_name(given: str) -> str:
    """``given`` with single spaces; raises ConfigError where it names nobody, cannot be shown, or
    stands for the labels that came with the images."""
    name = checked("An annotator", given)
    if name == TRUTH:
        raise ConfigError(f"“{TRUTH}” stands for the labels that came with the images.")
    return name


def now() -> datetime:
    """The time an annotation carries, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one annotator said of one image, once; never changed, only followed by another.

    ``image`` is a position in the training set; ``label`` a class index, or None for a skip.
    ``cleared`` takes back what was said before, and the image is open again. ``key`` is the
    image's own name. ``event`` names the event in the browser this came from, so that the same
    event sent twice is kept once; ``milliseconds`` is how long the person looked. ``undoes`` marks
    the row that puts back what was said before the annotator's last act on this image.
    ``guess_shown``: the model's guess stood beside the image before it was answered.

    ``round`` is the first round that trains on it.
    """

    image: int
    label: int | None
    round: int
    annotator: str
    created_at: datetime = field(default_factory=now)
    cleared: bool = False
    key: str = ""
    event: str | None = None
    milliseconds: int | None = None
    undoes: bool = False
    guess_shown: bool = False


def what_stands(annotations: Iterable[Annotation]) -> dict[int, list[Annotation]]:
    """What was said of each image and not undone, the last word last.

    An undo takes away the last thing that its annotator said of the image, so that what somebody
    else has said stays theirs.
    """
    standing: dict[int, list[Annotation]] = {}
    for annotation in annotations:
        said = standing.setdefault(annotation.image, [])
        if not annotation.undoes:
            said.append(annotation)
            continue
        for place in range(len(said) - 1, -1, -1):
            if said[place].annotator == annotation.annotator:
                del said[place]
                break
    return standing


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
