"""The manifest of an experiment: which image stands at which position, and what became of it.

It is folded from rows that are only ever appended, as the pool is from annotations. Positions are
never used again, so whatever happens to a folder, a label stays with the picture it was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from al_core.store.records import (
    CHANGED,
    DRAWN,
    HERE,
    LISTED,
    MEASURES,
    MISSING,
    POOL,
    ImageRow,
    ImageRows,
)

THERE = (HERE, MEASURES, LISTED)


@dataclass(frozen=True, eq=False)
class Manifest:
    """The images of an experiment after ``rows``, in the order they were written."""

    rows: tuple[ImageRow, ...]

    @cached_property
    def _last(self) -> dict[tuple[bool, int], ImageRow]:
        return {row.place: row for row in self.rows}

    def at(self, place: tuple[bool, int]) -> ImageRow | None:
        """What is known of one image; None where there is none."""
        return self._last.get(place)

    @cached_property
    def pool(self) -> list[ImageRow]:
        """What is known of each position of the pool."""
        return [self._last[True, i] for i in range(len(self._last) - len(self.test))]

    @cached_property
    def test(self) -> list[ImageRow]:
        """The same of the test images."""
        return [self._last[False, i] for i in range(sum(not pool for pool, _ in self._last))]

    @cached_property
    def is_outline(self) -> bool:
        """Whether some of the images were listed, and not read yet."""
        return any(row.state == LISTED for row in self.pool)

    @cached_property
    def away(self) -> frozenset[int]:
        """The positions of the pool that must not be asked about: their pictures are not there, or
        it is not known whether they are the same."""
        return frozenset(row.position for row in self.pool if row.state not in THERE)

    @cached_property
    def in_question(self) -> frozenset[int]:
        """Those among them whose files show another picture than they did; nothing is learned from
        their labels until somebody has said which it is."""
        return frozenset(row.position for row in self.pool if row.state == CHANGED)

    @cached_property
    def asked(self) -> list[ImageRow]:
        """All of which somebody has to say whether they show the same picture still."""
        return [row for row in (*self.pool, *self.test) if row.state == CHANGED]

    @cached_property
    def gone(self) -> frozenset[str]:
        """The names of the pictures of the pool that are not there any more, and no other under
        theirs."""
        there = [row for row in (*self.pool, *self.test) if row.state in THERE]
        names = {name for row in there for name in (row.key, *row.other_names)}
        return frozenset(row.key for row in self.pool if row.state == MISSING) - names

    @cached_property
    def _draws(self) -> dict[int, int]:
        """The positions of the pool that were drawn later, and the row that says so of each."""
        first: dict[int, int] = {}
        for number, row in enumerate(self.rows):
            if row.split == POOL and row.state == MEASURES:
                first.setdefault(row.position, number)
        return first

    @property
    def drawn(self) -> list[int]:
        """The positions of the pool that were drawn later to measure with, in that order."""
        return list(self._draws)

    @cached_property
    def not_drawn_from(self) -> range:
        """The positions that came after images to measure with were last drawn from the pool."""
        last = max(self._draws.values(), default=-1)
        first = len(self.first(last + 1).pool)
        while first in self.came_to_train:
            first += 1
        return range(first, len(self.pool))

    @cached_property
    def came_to_train(self) -> dict[int, ImageRow]:
        """The positions of images that measured by their names alone, and that train since they
        were read; and what the list had of them, in the test set."""
        began = {row.place: row for row in self.rows[: self.opening]}
        later = self.rows[self.opening :]
        left = {
            (row.key, row.created_at): began[row.place]
            for row in later
            if row.split == DRAWN and row.state == MISSING and not row.digest and row.place in began
        }
        return {
            row.position: left[row.key, row.created_at]
            for row in later
            if row.split == POOL and row.place not in began and (row.key, row.created_at) in left
        }

    @cached_property
    def opening(self) -> int:
        """The number of rows that were written first: the images the experiment began with."""
        began = self.rows[0].created_at
        return next((n for n, r in enumerate(self.rows) if r.created_at != began), len(self.rows))

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position in the pool of each name that an image has, or had before it was moved."""
        known: dict[str, int] = {}
        in_use = [row for row in self.pool if row.state != MISSING]
        for row in (*self.rows, *in_use):
            if row.split == POOL:
                known |= dict.fromkeys((row.key, *row.other_names), row.position)
        return known

    @cached_property
    def names_at(self) -> dict[str, set[str]]:
        """All names that the image of each position in the pool has or had, by that position as it
        is written."""
        known: dict[str, set[str]] = {}
        for row in self.rows:
            if row.split == POOL:
                known.setdefault(f"{row.position}", set()).update((row.key, *row.other_names))
        return known

    @cached_property
    def _firsts(self) -> dict[int, Manifest]:
        return {}

    def first(self, rows: int) -> Manifest:
        """The manifest as it was after so many rows, or, before any, as it began."""
        rows = max(rows, self.opening)
        if rows >= len(self.rows):
            return self
        if rows not in self._firsts:
            self._firsts[rows] = Manifest(self.rows[:rows])
        return self._firsts[rows]

    def otherwise_since(self, rows: int, pool: bool = True) -> frozenset[int]:
        """The positions, of the pool or of the test set, that show something else than they did
        after so many rows, or of which nothing was to be seen then, and something is now."""
        then = self.first(rows)
        since = {row.place for row in self.rows[len(then.rows) :] if row.place[0] == pool}
        return frozenset(
            place[1] for place in since if not _shows_the_same(then.at(place), self._last[place])
        )


def _shows_the_same(then: ImageRow | None, row: ImageRow) -> bool:
    if then is None or (then.state not in THERE and row.state in THERE):
        return False
    return then.digest == row.digest or (then.shows == row.shows != "")


@lru_cache(8)
def manifest_of(rows: ImageRows) -> Manifest | None:
    """The manifest that was read; None before it is written."""
    return Manifest(rows.rows) if rows.rows else None
