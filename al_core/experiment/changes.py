"""What has happened to the images of an experiment since some row of its manifest, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from al_core.experiment.experiment import Experiment
from al_core.experiment.manifest import THERE, Manifest
from al_core.images.dataset import Dataset
from al_core.sources.listing import composed
from al_core.store.records import CHANGED, DRAWN, LISTED, MEASURES, MISSING, POOL, ImageRow

# What happened to images, in the order in which a page tells of them, and what that means.
KINDS = {
    "new": "asked about as soon as a model has seen them",
    "missing": "not in the folder any more",
    "moved": "the same file under another name",
    "back": "missing before",
    "changed": "another picture under the same name",
    "rewritten": "the file was written anew; it counts as the same picture, with its label",
    "copied": "more files than before show this picture, or fewer; all of them are one image",
    "matched by name": "nothing but the name was known of it before",
    "drawn to measure": "never trained on from now on",
}
ORDER = [*KINDS]
NAMED = 3  # images in a sentence


@dataclass(frozen=True, slots=True)
class Change:
    """One of KINDS that happened to the image called ``key``, which was called ``before``."""

    kind: str
    key: str
    before: str = ""


def rows_trained_on(experiment: Experiment) -> int:
    """How many rows of the manifest the last trained round had seen; 0 before there is one."""
    seen = experiment.rounds[-1].log_position if experiment.rounds else None
    return seen.images if seen else 0


def untrained_changes(experiment: Experiment, shown: int | None = None) -> list[Change]:
    """What has changed since the rows that the last trained round had seen, or, before there is
    one, since the experiment began; and what comes after the first ``shown`` rows."""
    trained, manifest = rows_trained_on(experiment), experiment.manifest
    since = trained if shown is None else min(shown, trained)
    return changes_since(manifest, since) if manifest else []


@lru_cache(8)
def changes_since(manifest: Manifest, images: int) -> list[Change]:
    """What is otherwise now than when the manifest had its first ``images`` rows, or, for 0, than
    when the experiment began. What was so meanwhile, and is not any more, is left out."""
    then = manifest.first(images)
    later = manifest.rows[len(then.rows) :]
    if not later:
        return []
    before = then.known_of(later)
    there = manifest.names_there
    last: dict[tuple[bool, int], ImageRow] = {}
    came = manifest.came_to_train
    left = {was.place for was in came.values()}
    for row in later:
        if row.place in left:  # it is told of at its place in the pool
            continue
        was = before.get(row.place)
        if was is not None and was.state == LISTED and row.state != CHANGED:
            # It was read for the first time, or there is no such file any more.
            before[row.place] = was if row.key not in there else _listed_as(was.key, row, there)
        elif was is None and row.split == POOL and row.position in came:
            before[row.place] = _listed_as(came[row.position].key, row, there)
        last[row.place] = row
    found = [change for row in last.values() for change in _changes(before.get(row.place), row)]
    moved = {change.key for change in found if change.kind == "moved"}
    # A name that another picture was given by now is not missing, but where that was moved over it.
    untold = there - moved
    known = (c for c in found if c.kind != "missing" or c.key not in untold)
    return sorted(known, key=lambda change: ORDER.index(change.kind))


def _listed_as(name: str, row: ImageRow, there: Collection[str]) -> ImageRow:
    """``row`` with the name that the list had of it, where no other image has that by now."""
    return row if name in there else replace(row, key=name)


def _changes(before: ImageRow | None, row: ImageRow) -> Iterator[Change]:
    if row.state == MEASURES and (before is None or before.state != MEASURES):
        yield Change("drawn to measure", row.key)
    if row.state == CHANGED:
        if before is None or before.state != CHANGED:
            yield Change("changed", row.key)
    elif before is None:
        if row.split != DRAWN and row.state != MISSING:
            yield Change("new", row.key)
    elif row.state == MISSING:
        if before.state != MISSING:
            yield Change("missing", row.key)
    elif before.state == MISSING:
        yield Change("back", row.key, before.key)
    elif composed(row.key) != composed(before.key):
        yield Change("moved", row.key, before.key)
    elif row.digest != before.digest:
        yield Change("rewritten" if before.digest else "matched by name", row.key)
    elif set(row.other_names) != set(before.other_names):
        yield Change("copied", row.key)


def of_other_classes(experiment: Experiment) -> dict[str, int]:
    """How many images without an answer lie in folders, or came with labels, of what is no class of
    the experiment, by its name."""
    if experiment.manifest is None:
        return {}
    pool, answers = experiment.manifest.pool, experiment.pool.answers
    others = pool.counts("label").keys() - {"", *experiment.config.class_names}
    rows = pool.those("label", *others).those("state", *THERE)
    return Counter(row.label for row in rows if row.position not in answers)


def on_copies(manifest: Manifest, source: Dataset) -> list[str]:
    """Sentences on files with the same bytes in folders of different classes, or among images to
    train and to test with, as they are true for an experiment that has begun: what it knew before
    has the class it came with, and measures what it did."""
    if not source.differ and not source.in_both:
        return []
    there = {
        name: row
        for rows in (manifest.test, manifest.pool)
        for row in rows.those("state", *THERE)
        for name in (row.key, *row.other_names)
    }
    found: dict[str, list[str]] = {}

    def tell(sentence: str, key: str, more: str = "") -> None:
        names = " = ".join((key, *source.other_names.get(key, ())))
        found.setdefault(sentence, []).append(names + more)

    differ = "The same file lies in folders of different classes"
    both = "The same file lies among the images to train and to test with, and measures nothing"
    for key in source.differ:
        row = there.get(key)
        if row is None:
            tell(f"{differ}, so its class is not known, and it is left out", key)
        elif row.label:
            tell(f"{differ}; it keeps the one it came with", key, f" ({row.label})")
        else:
            tell(f"{differ}, so its class is not known, and it measures nothing", key)
    for key in source.in_both:
        if key in there and there[key].split == POOL:
            tell(both, key)
    return [
        f"{sentence}: {', '.join(names[:NAMED])}{' …' * (len(names) > NAMED)}."
        for sentence, names in found.items()
    ]


def in_words(changes: Iterable[Change]) -> str:
    """``12 new, 1 missing, 3 moved``."""
    counts = Counter(change.kind for change in changes)
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS if counts[kind])
