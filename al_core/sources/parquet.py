"""Images in the rows of tables, in Hugging Face's image layout: parquet files, or Arrow files.

An image is a struct of ``bytes`` and ``path``, bytes, or the path of a file beside the table. A
label is text, or an integer whose name may be in the schema's ``huggingface`` metadata.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError
from al_core.progress import Work
from al_core.sources.columns import Columns, Labels, find_columns, read_labels
from al_core.sources.content import Content, Picture
from al_core.sources.listing import natural, printable
from al_core.sources.split_words import NO_TRAINING, TESTS, split_of
from al_core.sources.tables import is_arrow, is_parquet, opened


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """One file, without its images: ``paths`` [n] ("": none) and ``labels`` of n rows; ``groups``
    are the sizes of its row groups."""

    name: str
    split: str
    groups: list[int]
    columns: Columns
    paths: list[str]
    labels: Labels


def read_parquet(root: Path, names: list[str]) -> Work[Content]:
    """Read the tables among ``names`` below ``root``, or ``root`` itself (names [""]).

    Raises SourceError as :func:`read_shards` does.
    """
    yield from ()
    shards = read_shards(str(root), names, lambda name: root / name)
    folder = root if root.is_dir() else root.parent
    targets, class_names = _classes(shards)
    used = {shard.name for shard in shards}
    return Content(
        keys=[key for keys in unique_keys(shards) for key in keys],
        targets=targets,
        in_test=np.repeat([s.split != "train" for s in shards], [len(s.paths) for s in shards]),
        class_names=class_names,
        pictures=(p for shard in shards for p in _pictures(root / shard.name, shard, folder)),
        left_out=tuple(printable(name) for name in names if name not in used and _is_table(name)),
        at=_RandomAccess(root, folder, shards).at,
    )


def read_shards(where: str, names: Sequence[str], at: Callable[[str], Any]) -> list[Shard]:
    """Everything but the images of the tables among ``names``: training files first.

    If some files are of a ``train`` split, they hold the training images, else those of no split,
    else all if they are of one; the first of TESTS that has labels holds the test images. Others
    are not used. ``at`` returns what PyArrow opens for a name in ``where``. Raises SourceError on a
    damaged file, one without images, labels that are missing or have no name, and files to test
    with alone that are of two splits.
    """
    files = [name for name in names if name == "" or _is_table(name)]
    splits = {name: _split_of(name) for name in files}
    present = set(splits.values())
    if "train" not in present:
        if present == set(TESTS):
            raise SourceError(
                NO_TRAINING.format(where=where, names=", ".join(map(printable, files)))
            )
        (whole,) = {""} if "" in present else present
        splits = {name: "train" if s == whole else s for name, s in splits.items()}
    shards = [_read_shard(where, name, split, at(name)) for name, split in splits.items() if split]
    train = [shard for shard in shards if shard.split == "train"]
    of_tests = ([s for s in shards if s.split == split] for split in TESTS)
    test = next((t for t in of_tests if any((s.labels.codes >= 0).any() for s in t)), [])
    columns = train[0].columns
    if differing := [s.name for s in train + test if s.columns != columns]:
        raise SourceError(
            f"{where}: {differing[0]} has other columns or classes than {train[0].name}."
        )
    return train + test


def _classes(shards: Sequence[Shard]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The class of every image, and the class names: as the files list them, else those that are
    there in their natural order."""
    names = shards[0].columns.names
    if not names:
        names = tuple(sorted({n for shard in shards for n in shard.labels.values}, key=natural))
    number = {name: i for i, name in reversed([*enumerate(names)])}
    targets = []
    for shard in shards:
        numbers = np.array([*(number[name] for name in shard.labels.values), -1], dtype=np.int64)
        is_named = bool(shard.columns.names)  # perhaps by the same name twice
        targets.append(shard.labels.codes if is_named else numbers[shard.labels.codes])
    return np.concatenate(targets), names


def _split_of(name: str) -> str:
    """That of the file's own name, else of the innermost folder that has one."""
    path = PurePosixPath(name)
    parts = (path.stem, *reversed(path.parent.parts)) if name else ()
    return next(filter(None, map(split_of, parts)), "")


def _read_shard(where: str, name: str, split: str, source: Any) -> Shard:
    file = f"{where}/{name}" if name else where
    with opened(source, file) as table:
        columns = find_columns(table.schema, file)
        field = f"{columns.image}.path" if columns.has_path else columns.image
        wanted = [field] if columns.has_path or columns.by_path else []
        rows = table.read(wanted + ([columns.label] if columns.label else []))
        paths = [""] * sum(table.groups)
        if wanted:
            column = rows[columns.image].combine_chunks()
            column = column.field("path") if columns.has_path else column
            # No database stores zero bytes.
            paths = [(path or "").replace("\0", "\\x00") for path in column.to_pylist()]
        labels = Labels(np.full(len(paths), -1, dtype=np.int64))
        if columns.label:
            labels = read_labels(rows[columns.label], columns, file)
        return Shard(name, split, table.groups, columns, paths, labels)


def unique_keys(shards: Sequence[Shard]) -> list[list[str]]:
    """The images' paths, per shard; prefixed by the split, or split and row, if they need it to be
    unique."""
    rows = Counter[str]()
    candidates: list[tuple[str, str, str]] = []
    for shard in shards:
        split = "train" if shard.split == "train" else "test"
        for path in shard.paths:
            row = f"{split}/{rows[split]:05d}"
            rows[split] += 1
            candidates.append((path or row, f"{split}/{path}" if path else row, f"{row}/{path}"))
    for keys in zip(*candidates, strict=True):
        if len(set(keys)) == len(keys):
            left = iter(keys)
            return [list(islice(left, len(shard.paths))) for shard in shards]
    return []


def _is_table(name: str) -> bool:
    """Whether a file holds rows that count: Hugging Face keeps what it has computed in others."""
    of_cache = name.rpartition("/")[2].startswith(("cache-", "indices"))
    return is_parquet(name) or (is_arrow(name) and not of_cache)


def _pictures(file: Path, shard: Shard, folder: Path) -> Iterator[Picture]:
    with opened(file, str(file)) as table:
        for column in table.batches(shard.columns.image):
            for image in column.to_pylist():
                yield _picture(as_row(image), (folder, file.parent))


class _RandomAccess:
    """Single pictures, of row groups of which the last one stays in memory."""

    def __init__(self, root: Path, folder: Path, shards: Sequence[Shard]) -> None:
        self._root, self._folder, self._shards = root, folder, shards
        self._places = {  # the shard of each key, and the row in it
            key: (number, row)
            for number, keys in enumerate(unique_keys(shards))
            for row, key in enumerate(keys)
        }
        self._group = lru_cache(1)(self._read)

    def at(self, key: str) -> Picture:
        number, row = self._places[key]
        ends = list(accumulate(self._shards[number].groups))
        group = bisect_right(ends, row)
        column = self._group(number, group)
        file = self._root / self._shards[number].name
        row -= ends[group - 1] if group else 0
        return _picture(as_row(column[row].as_py()), (self._folder, file.parent))

    def _read(self, number: int, group: int) -> Any:
        shard = self._shards[number]
        file = self._root / shard.name
        with opened(file, str(file)) as table:
            return table.group(group, shard.columns.image)


def as_row(image: Any) -> dict[str, Any]:
    """An image of a column as a struct of ``bytes`` and ``path``, whatever its type."""
    if isinstance(image, dict):
        return image
    return {"bytes": image if isinstance(image, bytes) else None, "path": image}


def _picture(image: dict[str, Any], folders: Sequence[Path]) -> Picture:
    if (encoded := image.get("bytes")) is not None:
        return bytes(encoded)
    if not image.get("path"):
        return None
    for folder in folders:
        with suppress(OSError, ValueError):  # a name that no file can have
            file = (folder / str(image["path"])).resolve()
            # A downloaded data set has no business with other files of this machine.
            if file.is_relative_to(folders[0]) and file.is_file():
                return file
    return None
