"""Labels as a CSV table: imported, all rows or none; exported from the log alone, or as a network's
predictions for the rest."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.experiment.accepted import LOOKS
from al_core.experiment.experiment import Experiment
from al_core.experiment.manifest import Manifest
from al_core.files.csv_cells import as_meant, write_row
from al_core.images.dataset import Dataset
from al_core.sources.listing import composed
from al_core.store.records import REASONS, Annotation

if TYPE_CHECKING:
    from al_core.store.store import Store

KEY, IMAGE, REASON, STRATEGY = "key", "image", "reason", "strategy"
ACCEPTED = "accepted"  # as the strategy of a row: nobody has looked at the image
CLASS = ("class_name", "class name", "class", "label")  # the first that the table has is used
MOST_PROBLEMS = 1000  # that are listed one by one
LONGEST = 200  # characters of a cell that an error quotes
COLUMNS = (
    "key", "image", "label", "class_name", "reason", "round", "strategy", "score", "annotator",
    "created_at", "seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelTable:
    """A table of labels, matched to an experiment.

    ``labels`` maps positions in the training set to class indices, None for a skip; ``problems``
    are the rows that match nothing, by their number in the file, from 1, with the reason. ``new``:
    names that no class has, each with its number of rows. ``reasons``: why images were skipped.
    """

    labels: dict[int, int | None]
    problems: list[tuple[int, str]]
    new: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)


def read_labels(
    table: bytes,
    dataset: Dataset,
    class_names: Sequence[str] | Mapping[str, int],
    manifest: Manifest | None = None,
) -> LabelTable:
    """Read a CSV with the columns ``key`` and ``class_name`` (or with just these two and no
    header), separated by commas, semicolons or tabs. ``class_names`` are those of classes 0, 1 and
    so on, or have a number each. An empty class name is a skip. By the
    ``manifest``, images are found by names that they had before as well. Two images may have had
    one name: then ``image``, the position that an export writes, says which is meant.

    Raises ConfigError if it is no such table at all.
    """
    position = {k: i for i, k in enumerate(dataset.train.keys)}
    if manifest is not None:
        position = manifest.positions
    if not isinstance(class_names, Mapping):
        class_names = {name: i for i, name in enumerate(class_names)}
    number = {name.strip(): i for name, i in class_names.items()}
    labels: dict[int, int | None] = {}
    problems, new, reasons = [], Counter[str](), {}
    for row, key, given, place, reason in _read(table):
        image = _look_up(key, position)
        if manifest is not None and place != f"{image}" and place.isdecimal():
            names = dict.fromkeys(manifest.names_at(int(place)), int(place))
            image = _look_up(key, names) if _look_up(key, names) is not None else image
        label = _look_up(given, number)
        if image is None:
            problems.append((row, f"No image has the key “{_in_short(key)}”."))
        elif label is None and given.strip():
            new[as_meant(given.strip())] += 1
            problems.append((row, f"There is no class “{_in_short(given)}”."))
        elif labels.setdefault(image, label) != label:
            problems.append((row, f"The key “{_in_short(key)}” stands above with another class."))
        elif label is None and reason in REASONS:
            reasons[image] = reason
    return LabelTable(labels, problems, new, reasons)


def key_and_class(table: bytes) -> Iterator[tuple[int, str, str]]:
    """The number, from 1, and the two columns' cells of each row that is not empty. Raises
    ConfigError if the table has no such columns."""
    return ((row, key, name) for row, key, name, *_ in _read(table))


def _read(table: bytes) -> Iterator[tuple[int, str, str, str, str]]:
    """The same, and the cells that say which image it is, and why it was skipped, empty without."""
    rows = _rows(table)
    head = next(rows, [])
    key, name, has_head = _columns(head)
    named = [cell.strip().lower() for cell in head] if has_head else []
    for row, cells in enumerate(rows if has_head else chain([head], rows), start=1 + has_head):
        if any(map(str.strip, cells)):
            cells += [""] * len(head)  # a row may be shorter
            place, reason, by = (
                cells[named.index(column)].strip() if column in named else ""
                for column in (IMAGE, REASON, STRATEGY)
            )
            if by == ACCEPTED:  # nobody's answer
                continue
            yield row, cells[key], cells[name], place, reason


def import_labels(
    store: Store, experiment: Experiment, table: LabelTable, dataset: Dataset, annotator: str
) -> int:
    """Write a table's labels to the log, in one transaction; return how many are new.

    Labels that the log has already are left out, so importing a table twice is harmless. Raises
    ConfigError, and writes nothing, if any row has a problem.
    """
    if table.problems:
        raise ConfigError(
            f"Rows that fit no image or class: {len(table.problems):,}; nothing was imported."
        )
    answers = experiment.pool.answers
    new = [
        Annotation(
            image,
            label,
            experiment.label_round,
            annotator,
            key=dataset.train.keys[image],
            reason=table.reasons.get(image),
        )
        for image, label in table.labels.items()
        if image not in answers or answers[image].label != label
    ]
    store.append(experiment.id, new)
    return len(new)


def _rows(table: bytes) -> Iterator[list[str]]:
    """The cells of each row."""
    encoding = "utf-16" if table[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = table.decode(encoding)
        if "\0" in text:  # another encoding, or not text
            raise csv.Error("it holds zero bytes")
        first_line = text.lstrip().partition("\n")[0]
        delimiter = max(",;\t", key=first_line.count)
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"This is no table of text ({error}); save it as CSV, in UTF-8."
        ) from error


def _columns(head: list[str]) -> tuple[int, int, bool]:
    """The columns of key and class name, and whether the first row is a header."""
    head = [cell.strip().lower() for cell in head]
    named = [head.index(name) for name in CLASS if name in head]
    if KEY in head and named:
        return head.index(KEY), named[0], True
    if len(head) == 2 and KEY not in head:
        return 0, 1, False
    raise ConfigError("The table needs the columns “key” and “class_name”.")


def _look_up(cell: str, known: Mapping[str, int]) -> int | None:
    """What a cell names: as an export writes it, as it is, or without the spaces around it; its
    characters composed otherwise if need be."""
    forms = [as_meant(cell), cell, as_meant(cell.strip()), cell.strip()]
    forms += [composed(form) for form in forms]
    return next((known[form] for form in forms if form in known), None)


def _in_short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def export_labels(experiment: Experiment, file: TextIO) -> int:
    """Write the last label of each image to ``file`` as CSV, a row for each file of it, those that
    were accepted without a look last; return the number of rows.

    A skipped image has an empty label and class name, and perhaps a reason; ``seconds`` is how long
    the person looked, empty if that was not measured. ``strategy`` and ``score`` are those by which
    the image was chosen, "random" for the initial images that the truth labelled, "accepted" for
    what nobody looked at: then the round is that of the model.
    """
    chosen = {
        image: (batch.strategy, "" if score is None else score)
        for batch in experiment.batches
        for image, score in zip(batch.images, batch.scores or repeat(None), strict=False)
    } | dict.fromkeys(experiment.held_out, ("random", ""))
    chosen |= {image: (LOOKS, "") for batch in experiment.batches for image in batch.audits or ()}
    write_row(file, COLUMNS)
    answers = sorted(experiment.pool.answers.values(), key=lambda answer: answer.image)
    rows = [(name, answer) for answer in answers for name in experiment.names_of(answer)]
    for key, answer in rows:
        label = answer.label
        write_row(file, [
            key,
            answer.image,
            "" if label is None else label,
            "" if label is None else experiment.config.class_names[label],
            answer.reason or "",
            answer.round,
            *chosen.get(answer.image, ("random", "")),
            answer.annotator,
            answer.created_at.isoformat(timespec="milliseconds"),
            "" if answer.milliseconds is None else answer.milliseconds / 1000,
        ])  # fmt: skip
    return len(rows) + _export_accepted(experiment, file)


def _export_accepted(experiment: Experiment, file: TextIO) -> int:
    """Write the class of each image that was accepted without a look, and that no person has
    answered since."""
    count, answers, names = 0, experiment.pool.answers, experiment.config.class_names
    acts = experiment.acceptances
    keys = {i: key for act in acts for i, key in zip(act.images, act.keys, strict=False)}
    for image, label in sorted(experiment.accepted.labels.items()):
        act = experiment.accepted.who[image]
        when = act.created_at.isoformat(timespec="milliseconds")
        of = Annotation(image, label, act.model, act.annotator, key=keys.get(image, ""))
        for key in experiment.names_of(of) if image not in answers else ():
            row = (key, image, label, names[label], "", act.model, ACCEPTED, "", act.annotator)
            write_row(file, [*row, when, ""])
            count += 1
    return count


def export_predictions(
    keys: Sequence[str],
    images: NDArray[np.int64],
    probs: NDArray[np.float32],
    class_names: Sequence[str],
    file: TextIO,
) -> None:
    """Write the most likely class of each image to ``file`` as CSV; ``keys`` and ``images``, its
    positions, are ``[N]``, ``probs`` is ``[N,C]``.
    """
    write_row(file, ["key", "image", "label", "class_name", "probability"])
    labels = probs.argmax(1)
    for key, image, label, prob in zip(keys, images.tolist(), labels, probs.max(1), strict=True):
        write_row(file, [key, image, label, class_names[label], f"{prob:.4f}"])
