"""The classes of an experiment: a fold over the changes that people made to them.

A class has a number that never changes, as it stands in annotations. What it is called, in which
order classes are shown, and what a label of one counts as now follow from the log: a merge relabels
by rule, and no row is ever written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.store.records import Annotation, ClassChange

if TYPE_CHECKING:
    pass

T = TypeVar("T", bound=np.floating)

ADD, RENAME, KEY, ORDER, MERGE, SPLIT, RETIRE, UNDO, TRUTH = (
    "add", "rename", "key", "order", "merge", "split", "retire", "undo", "truth",
)  # fmt: skip
ASIDE = (UNDO, TRUTH)  # of these an undo is no step of its own
OPEN, SKIPPED = -1, -2  # what a label counts as where it is of no class any more


@dataclass(frozen=True, slots=True)
class Classes:
    """C classes, by their numbers, as they are after some changes.

    ``names`` are what they are called now, ``first_names`` what they were called when they came,
    and ``called`` all that each was ever called, the name of now first. ``shown``: those that can
    be given, in the order in which they are shown. ``counts_as``: what a label of each counts as,
    one of ``shown``, OPEN where its image is to be asked about again, or SKIPPED. ``keys``: the key
    on which somebody put each, "" for none. ``parts``: by a class that was split, what became of
    it. ``truths``: what people have said of test images, by their positions, as numbers of classes.
    """

    names: tuple[str, ...]
    first_names: tuple[str, ...]
    shown: tuple[int, ...]
    counts_as: tuple[int, ...]
    keys: tuple[str, ...]
    parts: tuple[tuple[int, ...], ...]
    truths: tuple[tuple[int, int], ...] = ()
    called: tuple[tuple[str, ...], ...] = ()

    @property
    def as_at_first(self) -> bool:
        """Whether each label counts as what it says."""
        return self.counts_as == tuple(range(len(self.names)))

    @property
    def named(self) -> dict[int, str]:
        """The names of those that can be given, by their numbers, in the order they are shown."""
        return {one: self.names[one] for one in self.shown}

    @property
    def numbers(self) -> dict[str, int]:
        """What each name means in a table of labels: also that of a class that was merged."""
        known = {self.names[one]: now for one, now in enumerate(self.counts_as) if now >= 0}
        return known | {name: one for one, name in self.named.items()}

    def number(self, name: str) -> int:
        """The class that is called so; raises ConfigError where none is."""
        for one in self.shown:
            if self.names[one] == name:
                return one
        known = ", ".join(self.names[one] for one in self.shown)
        raise ConfigError(f"There is no class “{name}”; there are: {known}.")

    def of_source(self, name: str) -> int:
        """What a class that a source calls so counts as now; OPEN where there is none.

        Folders keep the name that a class had when it came.
        """
        for names in (self.first_names, self.names):
            if name in names:
                return self.counts_as[names.index(name)]
        return OPEN

    def mapped(self, annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
        """``annotations``, each with the label that it counts as."""
        return tuple(map(self._mapped, annotations))

    def _mapped(self, one: Annotation) -> Annotation:
        if one.label is None or (label := self.counts_as[one.label]) == one.label:
            return one
        if label == OPEN:
            return replace(one, label=None, cleared=True)
        return replace(one, label=None if label == SKIPPED else label)

    def targets(self, targets: NDArray[np.int64]) -> NDArray[np.int64]:
        """``targets`` int64 [N] as they count now, -1 where no class is known."""
        if self.as_at_first:
            return targets
        known = np.array([*(label if label >= 0 else -1 for label in self.counts_as), -1])
        return known[targets].astype(np.int64)

    def probabilities(self, probs: NDArray[T]) -> NDArray[T]:
        """What a model of before says of the classes as they are now: float [N,C] of [N,B], where
        B <= C as classes only ever come.

        Those that were merged add up; the parts of one that was split share its probability, as
        nothing tells them apart yet; that of one that went is shared by the others.
        """
        if self.as_at_first and probs.shape[1] == len(self.names):
            return probs
        now = np.zeros((len(probs), len(self.names)), np.float32)
        for one in range(probs.shape[1]):
            became = (self.counts_as[one],) if self.counts_as[one] >= 0 else self._leaves(one)
            for label in became:
                now[:, label] += probs[:, one] / len(became)
        total = now.sum(1, keepdims=True)
        nothing = total[:, 0] <= 0
        now[nothing] = np.isin(np.arange(len(self.names)), self.shown)
        total[nothing] = len(self.shown)
        shares: NDArray[T] = (now / total).astype(probs.dtype)
        return shares

    def _leaves(self, one: int) -> tuple[int, ...]:
        """The classes that the parts of a split one count as now."""
        found: dict[int, None] = {}
        for part in self.parts[one]:
            label = self.counts_as[part]
            found |= dict.fromkeys([label] if label >= 0 else self._leaves(part))
        return tuple(found)


def standing(changes: Sequence[ClassChange]) -> list[bool]:
    """Whether each of ``changes`` is in force: an undo takes one back, and may be undone itself."""
    undone: set[int] = set()
    for place in reversed(range(len(changes))):
        if changes[place].kind == UNDO and place not in undone:
            undone.add(changes[place].undoes)
    return [place not in undone for place in range(len(changes))]


@lru_cache(32)
def fold(names: tuple[str, ...], changes: tuple[ClassChange, ...]) -> Classes:
    """The classes of an experiment that began with ``names``, after ``changes``."""
    first, called, keys = list(names), list(names), [""] * len(names)
    shown = list(range(len(names)))
    into: dict[int, int] = {}  # what a class was merged into, or was a part of before an undo
    parts: dict[int, tuple[int, ...]] = {}
    retired: set[int] = set()
    truths: dict[int, int] = {}
    former: dict[int, list[str]] = {}
    for change, stands in zip(changes, standing(changes), strict=True):
        new = tuple(range(len(first), len(first) + len(change.names))) if _adds(change) else ()
        first += change.names if new else ()
        called += change.names if new else ()
        keys += [""] * len(new)
        there = [*dict.fromkeys(one for one in change.classes if one in shown)]
        if not stands:
            if change.kind == SPLIT:
                into |= dict.fromkeys(new, change.classes[0])
        elif change.kind == ADD:
            shown += new
        elif change.kind == RENAME:
            former.setdefault(change.classes[0], []).append(called[change.classes[0]])
            called[change.classes[0]] = change.names[0]
        elif change.kind == KEY:
            keys = ["" if key == change.names[0] else key for key in keys]
            keys[change.classes[0]] = change.names[0]
        elif change.kind == ORDER:
            shown = there + [one for one in shown if one not in there]
        elif change.kind == MERGE and change.classes[0] in shown:
            for one in there[1:]:
                into[one] = there[0]
                shown.remove(one)
        elif change.kind == SPLIT:
            if there:
                place = shown.index(there[0])
                shown[place : place + 1] = new
                parts[there[0]] = new
            else:  # the class itself was taken back meanwhile
                into |= dict.fromkeys(new, change.classes[0])
        elif change.kind == TRUTH:
            truths[change.image] = change.classes[0]
        elif change.kind == RETIRE:
            retired |= {*there}
            shown = [one for one in shown if one not in there]
    counts_as = []
    for one in range(len(first)):
        now, seen = one, {one}
        while now not in shown and now in into and into[now] not in seen:
            now = into[now]
            seen.add(now)
        counts_as.append(now if now in shown else SKIPPED if now in retired else OPEN)
    every = tuple(parts.get(one, ()) for one in range(len(first)))
    said = tuple((image, counts_as[one]) for image, one in sorted(truths.items()))
    return Classes(
        names=tuple(called),
        first_names=tuple(first),
        shown=tuple(shown),
        counts_as=tuple(counts_as),
        keys=tuple(keys),
        parts=every,
        truths=said,
        called=tuple((name, *former.get(one, ())) for one, name in enumerate(called)),
    )


def _adds(change: ClassChange) -> bool:
    return change.kind in (ADD, SPLIT)


def in_words(change: ClassChange, classes: Classes) -> str:
    """``change`` in a few words, such as ``cat split into tabby and black``."""
    named = [f"“{classes.names[one]}”" for one in change.classes]
    new = " and ".join(f"“{name}”" for name in change.names)
    match change.kind:
        case "add":
            return f"{new} added"
        case "rename":
            return f"{named[0]} got its name"
        case "key":
            key = change.names[0].upper()
            return (
                f"{named[0]} put on the key {key}" if key else f"{named[0]} has no key of its own"
            )
        case "order":
            return "another order"
        case "merge":
            return f"{' and '.join(named[1:])} merged into {named[0]}"
        case "split":
            return f"{named[0]} split into {new}"
        case "retire":
            return f"{named[0]} retired"
    return "a change undone"
