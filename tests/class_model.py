"""A model of classes that change, small enough to be right: a list of what was done."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import strategies as st

from al_core.experiment.class_acts import (
    Make,
    add,
    merge,
    put_on,
    redo,
    rename,
    reorder,
    retire,
    split,
    undo,
)
from al_core.experiment.classes import Classes
from al_core.store.records import ClassChange

OPEN, SKIPPED = "open", "skipped"


@dataclass
class ClassModel:
    """What was done with the classes that began as ``count``, and which of it stands."""

    count: int
    changes: list[ClassChange] = field(default_factory=list)
    stands: list[bool] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)

    def take(self, kind: str, change: ClassChange) -> None:
        """One act of somebody, which the program has taken."""
        if kind == "undo":
            self.undone.append(max(i for i, stands in enumerate(self.stands) if stands))
            self.stands[self.undone[-1]] = False
        elif kind == "redo":
            self.stands[self.undone.pop()] = True
        else:
            self.changes.append(change)
            self.stands.append(True)
            self.undone.clear()

    def counts_as(self, label: int) -> int | str:
        """What a label counts as, by all that stands, one after the other."""
        came: dict[int, int | None] = dict.fromkeys(range(self.count))
        numbers = itertools.count(self.count)
        for place, change in enumerate(self.changes):
            if change.kind in ("add", "split"):
                came |= {next(numbers): place for _ in change.names}
        while (place := came[label]) is not None and not self.stands[place]:
            if self.changes[place].kind == "add":
                return OPEN
            label = self.changes[place].classes[0]  # a part of one that was not split after all
        for change, stands in zip(self.changes, self.stands, strict=True):
            if not stands or label not in change.classes:
                continue
            if change.kind == "merge":
                label = change.classes[0]
            elif change.kind in ("split", "retire"):
                return OPEN if change.kind == "split" else SKIPPED
        return label


def an_act(classes: Classes, data: st.DataObject) -> tuple[str, Make]:
    """Something that somebody may try, and its name."""
    names = [*classes.named.values()]
    one, other = (data.draw(st.sampled_from(names)) for _ in range(2))
    new = [f"{len(classes.names)} {letter}" for letter in "ab"]
    acts = {
        "add": add(new[:1]), "rename": rename(one, new[0]), "merge": merge([one], other),
        "split": split(one, new), "retire": retire(one), "order": reorder(names[::-1]),
        "key": put_on(one, "k"), "undo": undo(), "redo": redo(),
    }  # fmt: skip
    kind = data.draw(st.sampled_from([*acts]))
    return kind, acts[kind]
