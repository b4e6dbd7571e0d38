"""What people do in a grid, written to the log; and what the log says of its images since."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any

from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.experiment.class_acts import add, change_classes, say_truth
from al_core.experiment.classes import Classes, fold
from al_core.experiment.experiment import open_experiment
from al_core.experiment.leases import LEASE, hand_in, lapses_at
from al_core.experiment.manifest import manifest_of
from al_core.experiment.pool import Pool, taken_out
from al_core.experiment.undo import undo
from al_core.store.records import TAKEN_OUT, Annotation, now
from al_desk.routes.events import (
    ANY,
    CLEAR,
    HAND_IN,
    NEW,
    OUT,
    SKIPS,
    UNDO,
    GridEvent,
    parse_events,
)
from al_desk.routes.grids import Grid
from al_desk.routes.names import names_of, names_of_batch
from al_desk.routes.take_back import take_back
from al_desk.server.images import images_read
from al_desk.server.resources import is_gone, open_store
from al_desk.server.rounds import refit_when_due

RENEWAL = timedelta(minutes=1)  # after which a label renews its lease again
CODES = {reason: code for code, reason in SKIPS.items()}  # of skips, as the grid has them


class GoneForGood(Exception):
    """There is no such experiment, or no such batch, any more."""


def answer(grid: Grid, message: dict[str, Any]) -> dict[str, Any]:
    """Write what a ``message`` of a grid's browser brings, and say what the log says.

    ``message`` has ``mount``, ``first`` and ``events`` (see :func:`parse_events`), if there are
    any; ``at``, how much of the log the browser knows; and ``images`` of which it knows nothing
    yet.

    The answer has ``saved``, the number of events that need not come again; ``at``; ``labels``,
    pairs of an image and its label, of those that changed; ``classes``, ``keys`` and ``shown``, as
    in a frame, if they changed; ``holder``, see :func:`tab_name`; ``refused``, why something was
    not done; ``run``, where the page shows something else now; ``focus``, the image that an undo
    leads to, and ``undone``, pairs of such images and the label that each undo took back. Raises
    ActiveLearningError where nothing can be saved now, and GoneForGood.
    """
    return _Answer(grid).to(message)


def tab_name(holder: str | None) -> str:
    """A short name for the tab that labels a batch: another one means that the batch has gone to
    another tab."""
    return hashlib.blake2b((holder or "").encode(), digest_size=3).hexdigest()


class _Answer:
    """The answer to one message."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.store = grid, open_store()
        seen = self.store.glance(grid.experiment, grid.batch)
        if seen is None or (grid.batch and seen.batch is None):
            raise GoneForGood
        self.config = seen.config
        self.first_names = tuple(seen.config["class_names"])  # of the classes that it began with
        self.changes = self.store.class_changes(grid.experiment) if seen.changes else ()
        self.batch, self.last = seen.batch, seen.last
        # In a deleted experiment, too, labels are kept: it can be restored, and the page says so.
        self.told: dict[str, Any] = {"run": True} if seen.deleted else {}

    @property
    def classes(self) -> Classes:
        """The classes as they are now."""
        return fold(self.first_names, self.changes)

    def to(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what ``message`` says."""
        known = self._images()
        count, events = parse_events(message, known, len(self.classes.names))
        for act, group in groupby(events, key=lambda e: e.act if e.image == ANY else None):
            if act == HAND_IN:
                self._hand_in()
            elif act == UNDO:
                for event in group:
                    self._take_back(event.event_id)
            else:
                self._save(list(group))
        images = [i for i in message.get("images") or () if type(i) is int and i in known]
        return {"saved": count} | self._labels(message.get("at"), images, known) | self.told

    def _images(self) -> Collection[int]:
        """The images that may be answered in the grid."""
        if self.batch is not None:
            return frozenset(self.batch.images)
        manifest = manifest_of(self.store.images(self.grid.experiment))
        if manifest is None:
            read = images_read(ExperimentConfig.from_json(self.config))
            return range(len(read.test if self.grid.kind == "truth" else read.train))
        return range(len(manifest.test if self.grid.kind == "truth" else manifest.pool))

    # What a person does

    def _save(self, events: Sequence[GridEvent]) -> None:
        """Write events about one image each, and renew the lease of the batch. Those that are
        there already are left out. An opinion never changes what others answered: clearing it
        undoes it."""
        grid, numbers = self.grid, self._add_classes(events)
        if grid.kind == "truth":
            self._say_truths(events, numbers)
            return
        log: list[Annotation] = []
        if any(event.act in (UNDO, CLEAR) for event in events):
            log = self.store.annotations(grid.experiment, {event.image for event in events})
        saved = {row.event for row in log}
        names = self._names(events)
        if self.batch is not None:
            number = self.batch.round
        else:
            number = open_experiment(self.store, grid.experiment).label_round
        new: list[Annotation] = []
        for event in events:
            row: Annotation | None = None
            if event.event_id in saved or (event.act == NEW and event.name not in numbers):
                continue
            if event.act == UNDO or (grid.kind == "opinion" and event.act == CLEAR):
                undone = undo([*log, *new], grid.annotator, [event.image])
                row = undone and replace(undone, event=event.event_id)
            elif (event.act == OUT) > (grid.kind == "accept"):
                continue
            elif grid.kind != "opinion" or event.act not in SKIPS:
                label = numbers[event.name] if event.act == NEW else event.act
                row = Annotation(
                    image=event.image,
                    label=label if label >= 0 else None,
                    round=number,
                    annotator=grid.annotator,
                    cleared=event.act in (CLEAR, OUT),
                    key=names[event.image],
                    event=event.event_id,
                    milliseconds=event.milliseconds,
                    guess_shown=grid.guess_shown,
                    reason=TAKEN_OUT if event.act == OUT else SKIPS.get(event.act),
                )
            if row is not None:
                new.append(row)
        renewed = (self.batch, lapses_at()) if self.batch and self._lapses_soon() else None
        self.store.append(grid.experiment, new, renewed)
        if grid.kind == "opinion":
            self.told["run"] = True  # how far people agree
        if self.batch is not None and self.config["model"]["head"] == "linear":
            answered = [row.image for row in new if not row.cleared]
            refit_when_due(self.store, grid.experiment, self.batch, answered)

    def _is_mine(self) -> bool:
        """Whether the batch is still being labelled under this name."""
        batch, name = self.batch, self.grid.annotator
        return batch is not None and not batch.handed_in_at and batch.annotator == name

    def _lapses_soon(self) -> bool:
        """Whether the lease is to be renewed: not with each label, since that takes a while."""
        if self.batch is None or not self._is_mine():
            return False
        until = self.batch.leased_until
        return until is None or until - now() < LEASE - RENEWAL

    def _names(self, events: Sequence[GridEvent]) -> dict[int, str]:
        """What the images of ``events`` are called."""
        batch, number = self.batch, self.grid.experiment
        if batch is not None:
            return names_of_batch(self.store, number, tuple(batch.images), batch.created_at)
        return names_of(self.store, number, tuple(dict.fromkeys(event.image for event in events)))

    def _say_truths(self, events: Sequence[GridEvent], numbers: dict[str, int]) -> None:
        for event in events:
            label = numbers.get(event.name, event.act)
            said = dict(self._reread_classes().truths).get(event.image)
            if event.act in (UNDO, CLEAR) or (label >= 0 and label != said):
                with suppress(ConfigError):  # there is nothing to take back
                    make = say_truth(event.image, label if label >= 0 else None)
                    change_classes(self.store, self.grid.experiment, self.grid.annotator, make)
                self.told["run"] = True  # they measure at once

    def _add_classes(self, events: Sequence[GridEvent]) -> dict[str, int]:
        """The number of each class that ``events`` name, which is added if there is none."""
        numbers: dict[str, int] = {}
        for name in dict.fromkeys(event.name for event in events if event.act == NEW):
            classes = self._reread_classes()
            try:
                if name not in {classes.names[one] for one in classes.shown}:
                    grid = self.grid
                    change_classes(self.store, grid.experiment, grid.annotator, add([name]))
                    classes = self._reread_classes()
                    self.told["run"] = True
                numbers[name] = classes.number(name)
            except ConfigError as error:
                self.told["refused"] = str(error)
        return numbers

    def _reread_classes(self) -> Classes:
        self.changes = self.store.class_changes(self.grid.experiment)
        return self.classes

    def _hand_in(self) -> None:
        """Hand the batch in, or say why that is not possible."""
        if self.batch is None:
            return
        try:
            hand_in(self.store, self.grid.experiment, self.batch, is_gone)
        except ConfigError as error:
            self.told["refused"] = str(error)
        else:
            self.told["run"] = True
            self.batch = None

    def _take_back(self, event_id: str) -> None:
        if self.batch is None or self.batch.annotator != self.grid.annotator:
            # It has gone to somebody else: what would be undone is not in view.
            self.told["run"] = True
            return
        holder = self.batch.holder or "", self.grid.annotator
        done = take_back(self.store, self.grid.experiment, event_id, holder)
        if isinstance(done, str):
            self.told["refused"] = done
            return
        image, before = done
        self.told |= {"run": True, "focus": [image, time.time_ns() // 1_000_000]}
        if before is not None:
            (act,) = self.classes.mapped([before])
            code = CLEAR if act.cleared else _code(act)
            self.told.setdefault("undone", []).append([image, code])

    # What the log says

    def _labels(self, at: object, images: Sequence[int], known: Collection[int]) -> dict[str, Any]:
        """What the log says of ``images``, and of those of the grid that have changed since it was
        read up to ``at``."""
        number, before, last = self.grid.experiment, self.classes, self.last
        found: dict[int, list[Annotation]] = {}
        match at:
            case [int(after), int(changes)] if after <= last and changes <= len(self.changes):
                before = fold(self.first_names, self.changes[:changes])
                last, found = self.store.since(number, after)
        rest = [image for image in images if image not in found]
        if rest:
            last = self.last  # what has come since may be told twice, and is not missed
            found |= {image: [] for image in rest} | _by_image(self.store.annotations(number, rest))
        told: dict[str, Any] = {"at": [last, len(self.changes)]}
        labels = self._codes({i: rows for i, rows in found.items() if i in known}, before)
        if labels:
            told["labels"] = labels
        classes = self.classes
        if replace(before, truths=()) != replace(classes, truths=()):
            told |= {
                "run": True,
                "classes": [*classes.names],
                "keys": [*classes.keys],
                "shown": [*classes.shown],
            }
        if self.batch and self._is_mine():
            told["holder"] = tab_name(self.batch.holder)
        return told

    def _codes(self, found: dict[int, list[Annotation]], before: Classes) -> list[list[int]]:
        """The labels of images, by all that was said of each, as the grid has them."""
        if self.grid.kind == "truth":
            said, other = dict(self.classes.truths), dict(before.truths)
            changed = {image for image, _ in {*said.items()} ^ {*other.items()}}
            return [[image, said.get(image, CLEAR)] for image in {*found} | changed]
        log = [row for rows in found.values() for row in rows]
        if self.grid.kind == "opinion":
            log = [row for row in log if row.annotator == self.grid.annotator]
        answers = Pool.fold(0, self.classes.mapped(log)).answers
        codes = {image: _code(answers.get(image)) for image in found}
        if self.grid.kind == "accept":
            codes |= dict.fromkeys(taken_out(log), OUT)
        return [[image, code] for image, code in codes.items()]


def _by_image(rows: Iterable[Annotation]) -> dict[int, list[Annotation]]:
    found: dict[int, list[Annotation]] = {}
    for row in rows:
        found.setdefault(row.image, []).append(row)
    return found


def _code(answer: Annotation | None) -> int:
    if answer is None:
        return CLEAR
    return CODES[answer.reason] if answer.label is None else answer.label
