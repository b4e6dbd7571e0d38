"""The pictures of a source as it holds them, before any is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_core.progress import Work

Picture = bytes | Path | NDArray[np.uint8] | None
"""An encoded image, a file of one, pixels [H,W,3], or None: there is nothing to decode."""

FileStamp = tuple[str, int, int]
"""Name relative to the source, size in bytes, modification time in ns."""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The N pictures of a source in a fixed order, before any is decoded.

    ``targets`` int64[N], -1: unknown. ``in_test`` bool[N]: the source's own test split, all False
    where it has none. ``pictures`` yields N pictures, once, each read when asked for. ``left_out``
    names what was seen but is not among the N, folders with "/" at their end; ``notes`` are
    sentences about the source. ``others`` counts files that are no pictures by their endings.
    ``at`` gives one picture by its key, at any time; None where the source has no files of them.
    ``stamps``: by the name of a file, its size, its time, and when it got the name, as far as it
    was asked for.
    """

    keys: Sequence[str]
    targets: NDArray[np.int64]
    in_test: NDArray[np.bool_]
    class_names: tuple[str, ...]
    pictures: Iterable[Picture]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    at: Callable[[str], Picture] | None = None
    stamps: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def has_own_split(self) -> bool:
        """Whether the source itself says which images measure."""
        return bool((self.in_test & (self.targets >= 0)).any())

    def only_class(self, rows: NDArray[np.int64]) -> str:
        """The class of all these rows, or the only one there is; "" where there are others."""
        targets = self.targets[rows]
        is_one = targets.min() >= 0 and targets.min() == targets.max()
        return self.class_names[targets.max()] if is_one or len(self.class_names) == 1 else ""


@dataclass(frozen=True, slots=True)
class Found:
    """A source that was listed but not read: enough to know whether its cache is valid.

    ``read(image_size, cache_dir)`` reports its progress and returns the content. ``touched``: when
    the names of the first of the stamps were last given to their files, in ns; two names that are
    swapped may have the same size and time.
    """

    kind: str
    where: str  # absolute path; empty for a bundled source
    stamps: tuple[FileStamp, ...]
    read: Callable[[int, Path], Work[Content]]
    touched: tuple[int, ...] = ()
