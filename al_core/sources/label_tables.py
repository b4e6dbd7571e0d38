"""Labels in ``metadata.csv`` or ``metadata.jsonl`` beside images, as Hugging Face reads them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from al_core.errors import SourceError
from al_core.sources.columns import LABELS, MOST_CLASSES, PATHS
from al_core.sources.listing import composed, printable

MOST_BYTES = 1 << 28  # of a table


@dataclass(slots=True)
class LabelTables:
    """``labels``: image -> class, None where no table has one of an image that is there.
    ``missing``: images that are named but not there. ``notes``: sentences on tables without
    labels."""

    labels: dict[str, str] | None = None
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_label_tables(
    where: str, names: Sequence[str], pictures: Iterable[str], contents: Callable[[str], bytes]
) -> LabelTables:
    """Read the tables ``names``, whose ``contents`` name images of ``pictures`` by their paths from
    the table's folder. An image may be without a row, and a row without a label.

    Raises SourceError for a table that is damaged, or gives one image two classes.
    """
    pictures = list(pictures)
    known = {composed(_plain(name)): name for name in pictures}
    known |= {_plain(name): name for name in pictures}  # where two differ in that alone
    found = LabelTables()
    for name in names:
        folder, slash, _ = name.rpartition("/")
        rows = _rows(f"{where}/{name}", name, contents(name))
        columns = {key.strip().lower(): key for key in rows[0]} if rows else {}
        path = next((columns[key] for key in ("file_name", *PATHS) if key in columns), None)
        label = next((columns[key] for key in LABELS if key in columns), None)
        if path is None or label is None:
            wanted = f"{LABELS[0]} and file_name"
            has = ", ".join(columns) or "none"
            found.notes.append(
                f"No labels were read from {printable(name)}, which needs the columns {wanted} and "
                f"has {has}."
            )
            continue
        found.labels = {} if found.labels is None else found.labels
        for row in rows:
            said = f"{folder}{slash}{row.get(path) or ''}"
            said_plainly, text = _plain(said), composed(_text(row.get(label)))
            image = known.get(said_plainly) or known.get(composed(said_plainly))
            if image is None:
                found.missing.append(said)
            elif text and found.labels.setdefault(image, text) != text:
                raise SourceError(
                    f"{where}/{name} gives {printable(image)} two classes: "
                    f"{found.labels[image]} and {text}."
                )
    if found.labels == {}:
        found.labels = None
        found.notes.append(f"No image is named with a label in {', '.join(map(printable, names))}.")
    if found.labels and len(kinds := set(found.labels.values())) > MOST_CLASSES:
        raise SourceError(
            f"The tables of {where} give {len(kinds):,} different labels, and at most "
            f"{MOST_CLASSES:,} can be classes."
        )
    return found


def _plain(name: str) -> str:
    """One form for all ways to write a path."""
    parts = name.strip().replace("\\", "/").split("/")
    return "/".join(p for p in parts if p not in ("", "."))


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int) else ""


def _rows(file: str, name: str, content: bytes) -> list[dict[str, Any]]:
    if len(content) > MOST_BYTES:
        raise SourceError(f"{file} is larger than {MOST_BYTES >> 20} MiB.")
    try:
        text = content.decode("utf-8-sig").replace("\0", "")
        rows = _of_jsonl(text) if name.lower().endswith(".jsonl") else _of_csv(text)
        return list(rows)
    except (ValueError, csv.Error, RecursionError) as error:
        raise SourceError(f"{file} is damaged or is no table in UTF-8.") from error


def _of_csv(text: str) -> Iterator[dict[str, Any]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter):
        yield {key: value for key, value in row.items() if key is not None}


def _of_jsonl(text: str) -> Iterator[dict[str, Any]]:
    for line in text.split("\n"):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("no object")
            yield row
