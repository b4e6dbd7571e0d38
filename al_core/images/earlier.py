"""What an earlier cache of a source holds, so that only what is new in a folder is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.pictures.digests import DIGEST, FILES
from al_core.sources.content import Content, Found
from al_core.sources.listing import keys_of

Stamps = dict[str, list[int]]  # by the name of a file: its size, its time, and when it got the name


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """The rows of an earlier cache: those of its images, and of images that were in the source
    before those. ``row_of``: the row of a file whose ``stamps`` say that it was not touched since.
    """

    images: NDArray[np.uint8]
    digests: NDArray[np.void]
    files: NDArray[np.void]
    keys: Sequence[str]
    stamps: Stamps = field(default_factory=dict)
    row_of: Mapping[str, int] = field(default_factory=dict)

    def reusable(self, content: Content, stamps: Stamps) -> dict[int, int]:
        """The row here of each row of ``content`` whose file is as it was."""
        if content.at is None:
            return {}
        return {
            row: self.row_of[key]
            for row, key in enumerate(content.keys)
            if key in self.row_of and key in stamps and self.stamps.get(key) == stamps[key]
        }

    def gone(self, files: NDArray[np.void]) -> list[int]:
        """The rows of pictures that are not among ``files`` any more, one for each."""
        seen = set(files["digest"].tolist()) | {bytes(DIGEST)}
        rows = []
        for row, digest in enumerate(self.files["digest"].tolist()):
            if digest not in seen:
                seen.add(digest)
                rows.append(row)
        return rows


def earlier_of(folder: Path, index: Mapping[str, Any]) -> Earlier:
    """Open the cache in ``folder``, whose ``index`` is valid. Raises OSError and ValueError."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    digests, files = (np.load(folder / f"{name}.npy") for name in ("digests", "files"))
    if files.dtype != FILES:
        raise ValueError("written by an earlier version")
    keys = [*index["keys"], *index["disputed"]]
    row_of = {key: row for row, key in enumerate(keys)}
    row_of |= {other: row_of[key] for key, names in index["other_names"].items() for other in names}
    # Pictures of more than 8 bits are shown in a range of the whole source, which may change.
    is_reusable = not index["ranges"]
    return Earlier(
        images,
        digests,
        files,
        [*keys, *index["former"]],
        index["stamps"],
        row_of if is_reusable else {},
    )


def nothing(image_size: int) -> Earlier:
    """That of a source that was not cached before."""
    images = np.empty((0, 3, image_size, image_size), np.uint8)
    no_digests = np.empty(0, f"V{DIGEST}")
    return Earlier(images, no_digests, np.empty(0, FILES), [])


def stamps_of(found: Found) -> Stamps:
    """The stamps as an index keeps them."""
    stamps = list(zip(found.stamps, found.touched, strict=False))  # what is only listed comes last
    keys = keys_of([name for (name, _, _), _ in stamps])
    return {
        key: [size, time, touched]
        for key, ((_, size, time), touched) in zip(keys, stamps, strict=True)
    }
