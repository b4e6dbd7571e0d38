"""What people do with the classes of an experiment: each act is one row of the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from al_core.errors import ConfigError
from al_core.experiment.classes import (
    ADD,
    ASIDE,
    KEY,
    MERGE,
    ORDER,
    RENAME,
    RETIRE,
    SPLIT,
    TRUTH,
    UNDO,
    Classes,
    fold,
    standing,
)
from al_core.names import check_class_names, checked
from al_core.store.records import ClassChange

if TYPE_CHECKING:
    from al_core.store.store import Store

TAKEN = "bflnqsuwxz"  # letters of which each does something else while one labels

Make = Callable[[Classes, Sequence[ClassChange]], ClassChange]


def change_classes(store: Store, experiment_id: int, annotator: str, make: Make) -> Classes:
    """Write to the log what ``make`` does with the classes as they are; the classes after it.

    Raises ConfigError, and writes nothing, where that cannot be. Where somebody else has changed
    them at the same moment, it is done with those.
    """
    while True:
        names = tuple(store.experiment(experiment_id).config["class_names"])
        changes = store.class_changes(experiment_id)
        change = replace(make(fold(names, changes), changes), annotator=annotator)
        after = fold(names, (*changes, change))
        check_class_names([after.names[one] for one in after.shown])
        if store.add_class_change(experiment_id, change, len(changes)):
            return after


def add(names: Sequence[str]) -> Make:
    """Add classes, after those there are. One that is there already is an error."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        wanted = tuple(checked("A class", name) for name in names)
        live = {classes.names[one] for one in classes.shown}
        if known := [name for name in wanted if name in live]:
            raise ConfigError(f"There is a class “{known[0]}” already.")
        return ClassChange(ADD, names=wanted)

    return make


def rename(name: str, new: str) -> Make:
    """Call a class otherwise."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        return ClassChange(RENAME, (classes.number(name),), (checked("A class", new),))

    return make


def put_on(name: str, key: str) -> Make:
    """Put a class on a key, a letter from A to Z or a digit, that no other class has from then on;
    with an empty one it has none of its own any more."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        wanted = key.strip().lower()
        if not re.fullmatch("[a-z0-9]?", wanted):
            raise ConfigError(f"A key is a letter from A to Z, or a digit: “{key.strip()}”.")
        if wanted and wanted in TAKEN:
            raise ConfigError(
                f"{wanted.upper()} does something else while you label; so do "
                f"{', '.join(TAKEN.replace(wanted, '').upper())}. Choose another key."
            )
        return ClassChange(KEY, (classes.number(name),), (wanted,))

    return make


def reorder(names: Sequence[str]) -> Make:
    """Show the classes in this order; those that are not named come after."""
    return lambda classes, changes: ClassChange(ORDER, tuple(map(classes.number, names)))


def merge(names: Sequence[str], into: str) -> Make:
    """Let the labels of these classes count as those of ``into``, which is one of them or not."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        one = classes.number(into)
        others = [other for other in map(classes.number, names) if other != one]
        if not others:
            raise ConfigError("A merge needs two classes.")
        return ClassChange(MERGE, (one, *others))

    return make


def split(name: str, into: Sequence[str]) -> Make:
    """Put two or more classes in the place of one, whose images are asked about again."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        wanted = tuple(checked("A class", one) for one in into)
        if len(wanted) < 2:
            raise ConfigError("A class is split into two others at least.")
        return ClassChange(SPLIT, (classes.number(name),), wanted)

    return make


def retire(name: str) -> Make:
    """Use a class no more: its images count as skipped."""
    return lambda classes, changes: ClassChange(RETIRE, (classes.number(name),))


def say_truth(image: int, number: int | None) -> Make:
    """Say of which class the test image at a position is, or, with None, take back what was said
    last of it."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        if number is not None:
            return ClassChange(TRUTH, (number,), image=image)
        for place, stands in reversed([*enumerate(standing(changes))]):
            if stands and changes[place].kind == TRUTH and changes[place].image == image:
                return ClassChange(UNDO, undoes=place)
        raise ConfigError("There is nothing to undo.")

    return make


def undo() -> Make:
    """Take back the last change that stands."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        if (place := to_undo(changes)) is None:
            raise ConfigError("There is no change of the classes to undo.")
        return ClassChange(UNDO, undoes=place)

    return make


def redo() -> Make:
    """Do again what was undone last, as long as nothing else was changed since."""

    def make(classes: Classes, changes: Sequence[ClassChange]) -> ClassChange:
        if (place := to_redo(changes)) is None:
            raise ConfigError("There is no change of the classes to do again.")
        return ClassChange(UNDO, undoes=place)

    return make


def to_undo(changes: Sequence[ClassChange]) -> int | None:
    """The place of the last change that stands."""
    there = [
        place
        for place, stands in enumerate(standing(changes))
        if stands and changes[place].kind not in ASIDE
    ]
    return there[-1] if there else None


def to_redo(changes: Sequence[ClassChange]) -> int | None:
    """The place of the undo that would be undone to do a change again."""
    for place, stands in reversed([*enumerate(standing(changes))]):
        if stands and changes[place].kind not in ASIDE:
            return None
        if (
            stands
            and changes[place].kind == UNDO
            and (changes[changes[place].undoes].kind not in ASIDE)
        ):
            return place
    return None
