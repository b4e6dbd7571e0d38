"""The images of a source as a manifest tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from al_core.experiment.manifest import Manifest
from al_core.images.dataset import Dataset
from al_core.store.records import DRAWN, HERE, LISTED, POOL, TEST, ImageRow, now


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


def listed(source: Dataset) -> list[Listed]:
    """The images of a source, whose files are known: those of the pool first."""
    found = []
    sets = [(source.train, False, False), (source.test, True, False)]
    if source.disputed is not None:
        sets.append((source.disputed, False, True))
    for images, is_test, disputed in sets:
        assert images.files is not None
        classes = (*images.class_names, "")
        for key, target, (digest, width, height, shows) in zip(
            images.keys, images.targets.tolist(), images.files.tolist(), strict=True
        ):
            names, label = (key, *source.other_names.get(key, ())), classes[target]
            measures = is_test and source.own_split
            about = _hex(digest), _hex(shows), width, height, is_test, measures, label, disputed
            stamp = " ".join(map(str, source.stamps.get(key, ())[:2]))
            found.append(Listed(names, *about, stamp))
    return found


def _hex(digest: bytes) -> str:
    """Of a picture that was not read, or that could not be, it is all zeros, and is not known."""
    return digest.hex() if any(digest) else ""


def began_with(source: Dataset) -> list[ImageRow]:
    """The first rows of an experiment on ``source``."""
    at, images = now(), listed(source)
    n, split = len(source.train), TEST if source.own_split else DRAWN
    state = LISTED if source.is_outline else HERE
    places = [(POOL, i) for i in range(n)] + [(split, i) for i in range(len(source.test))]
    return [
        one.at(ImageRow(*place, "", state=state, created_at=at))
        for place, one in zip(places, images, strict=False)  # the disputed ones come last
    ]


def is_as_told(manifest: Manifest, source: Dataset) -> bool:
    """Whether a source is as its manifest tells, which is quicker to see than what has changed."""
    told = [*manifest.pool, *manifest.test]
    keys = [key for images in source.splits for key in images.keys]
    if [row.key for row in told] != keys or any(row.state != HERE for row in told):
        return False
    files = [digest.hex() for images in source.splits if images.files is not None
             for digest in images.files["digest"].tolist()]  # fmt: skip
    others = {row.key: set(row.other_names) for row in told if row.other_names}
    same = others == {key: set(names) for key, names in source.other_names.items() if names}
    return same and [row.digest for row in told] == files and all(row.shows for row in told)
