"""The manifest of an experiment: which image stands at which position, and what became of it.

It is folded from rows that are only ever appended, as the pool is from annotations. Positions are
never used again, so whatever happens to a folder, a label stays with the picture it was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from al_core.store.image_rows import ImageRows
from al_core.store.records import (
    CHANGED,
    DRAWN,
    HERE,
    LISTED,
    MEASURES,
    MISSING,
    POOL,
    ImageRow,
)

THERE = (HERE, MEASURES, LISTED)


@dataclass(frozen=True, eq=False)
class Manifest:
    """The images of an experiment after ``rows``, in the order they were written."""

    rows: ImageRows

    @cached_property
    def _last(self) -> dict[bool, NDArray[np.int64]]:
        """Which row is the last of each position, of the pool (True) and of the test set."""
        in_pool, positions, last = self.rows.where("split", POOL), self.rows.positions(), {}
        for pool in (True, False):
            rows = np.flatnonzero(in_pool == pool)
            last[pool] = np.zeros(positions[rows].max(initial=-1) + 1, np.int64)
            last[pool][positions[rows]] = rows  # of those at one position, the last stays
        return last

    def at(self, place: tuple[bool, int]) -> ImageRow | None:
        """What is known of one image; None where there is none."""
        pool, position = place
        rows = self._last[pool][position : position + 1]
        return next(iter(self.rows.take(rows)), None)

    def known_of(self, rows: ImageRows) -> dict[tuple[bool, int], ImageRow]:
        """What is known, by their places, of the images that ``rows`` tell of."""
        in_pool, positions, known = rows.where("split", POOL), rows.positions(), {}
        for pool, last in self._last.items():
            about = np.unique(positions[in_pool == pool])
            for row in self.rows.take(last[about[about < len(last)]]):
                known[row.place] = row
        return known

    @cached_property
    def pool(self) -> ImageRows:
        """What is known of each position of the pool."""
        return self.rows.take(self._last[True])

    @cached_property
    def test(self) -> ImageRows:
        """The same of the test images."""
        return self.rows.take(self._last[False])

    @cached_property
    def is_outline(self) -> bool:
        """Whether some of the images were listed, and not read yet."""
        return bool(self.pool.where("state", LISTED).any())

    @cached_property
    def away(self) -> frozenset[int]:
        """The positions of the pool that must not be asked about: their pictures are not there, or
        it is not known whether they are the same."""
        return frozenset(np.flatnonzero(~self.pool.where("state", *THERE)).tolist())

    @cached_property
    def in_question(self) -> frozenset[int]:
        """Those among them whose files show another picture than they did; nothing is learned from
        their labels until somebody has said which it is."""
        return frozenset(np.flatnonzero(self.pool.where("state", CHANGED)).tolist())

    @cached_property
    def asked(self) -> list[ImageRow]:
        """All of which somebody has to say whether they show the same picture still."""
        return [row for rows in (self.pool, self.test) for row in rows.those("state", CHANGED)]

    @cached_property
    def names_there(self) -> frozenset[str]:
        """The names of all pictures that are there."""
        there = [rows.those("state", *THERE) for rows in (self.pool, self.test)]
        return frozenset(
            name for rows in there for name in (*rows.values("key"), *rows.further_names())
        )

    @cached_property
    def gone(self) -> frozenset[str]:
        """The names of the pictures of the pool that are not there any more, and no other under
        theirs."""
        missing = self.pool.those("state", MISSING).values("key")
        return frozenset(missing) - self.names_there if missing else frozenset()

    @cached_property
    def _draws(self) -> dict[int, int]:
        """The positions of the pool that were drawn later, and the row that says so of each."""
        drawn = self.rows.where("split", POOL) & self.rows.where("state", MEASURES)
        rows = np.flatnonzero(drawn)[::-1]
        first = dict(zip(self.rows.positions()[rows].tolist(), rows.tolist(), strict=True))
        return dict(sorted(first.items(), key=lambda one: one[1]))

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
        began, later = Manifest(self.rows[: self.opening]), self.rows[self.opening :]
        unread = later.where("split", DRAWN) & later.where("state", MISSING)
        gone = later.take(np.flatnonzero(unread & later.where("digest", "")))
        was = began.known_of(gone)
        left = {(r.key, r.created_at): was[r.place] for r in gone if r.place in was}
        new = later.where("split", POOL) & (later.positions() >= len(began.pool))
        return {
            row.position: left[row.key, row.created_at]
            for row in (later.take(np.flatnonzero(new)) if left else ())
            if (row.key, row.created_at) in left
        }

    @cached_property
    def opening(self) -> int:
        """The number of rows that were written first: the images the experiment began with."""
        times = self.rows.times()
        others = np.flatnonzero(times != times[:1])
        return int(others[0]) if len(others) else len(self.rows)

    def _named(self, rows: ImageRows) -> Iterator[tuple[int, str]]:
        """Each name of each of some rows of the pool, with the position there."""
        names = zip(rows.values("key"), rows.values("other_names"), strict=True)
        for position, (key, others) in zip(rows.positions().tolist(), names, strict=True):
            yield position, key
            for name in others:
                yield position, name

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position in the pool of each name that an image has, or had before it was moved."""
        missing = self.pool.where("state", MISSING)
        in_use = self.pool.take(np.flatnonzero(~missing))
        all_of = self.rows.those("split", POOL)
        return {name: place for rows in (all_of, in_use) for place, name in self._named(rows)}

    def names_at(self, position: int) -> set[str]:
        """All names that the image at a position of the pool has or had."""
        here = self.rows.where("split", POOL) & (self.rows.positions() == position)
        return {name for _, name in self._named(self.rows.take(np.flatnonzero(here)))}

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

    def with_rows(self, more: Sequence[ImageRow]) -> Manifest:
        """The manifest as it will be after these rows."""
        return Manifest(self.rows + more) if more else self

    def otherwise_since(self, rows: int, pool: bool = True) -> frozenset[int]:
        """The positions, of the pool or of the test set, that show something else than they did
        after so many rows, or of which nothing was to be seen then, and something is now."""
        then = self.first(rows)
        before, now = then._last[pool], self._last[pool]
        known = np.arange(len(before))
        since = known[now[known] != before]
        one, other = then.rows.take(before[since]), self.rows.take(now[since])
        same = one.alike(other, "digest") | (one.alike(other, "shows") & ~one.where("shows", ""))
        same &= one.where("state", *THERE) | ~other.where("state", *THERE)
        came = range(len(before), len(now))
        return frozenset(since[~same].tolist()).union(came)


@lru_cache(8)
def manifest_of(rows: ImageRows) -> Manifest | None:
    """The manifest that was read; None before it is written."""
    return Manifest(rows) if rows else None
