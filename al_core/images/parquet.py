"""Parquet files in Hugging Face's image layout.

An image is a struct of ``bytes`` and ``path``. A label is text, or an integer whose name is in the
schema's ``huggingface`` metadata. Columns are recognised by type, not by name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError
from al_core.images.decoding import BATCH, Content, Picture
from al_core.progress import Work

LABEL_COLUMNS = ("label", "labels", "fine_label", "target", "class")  # the first one is taken
IMAGE_KINDS = (None, "", "Image")  # as Hugging Face's metadata calls them, where it does
TEST_SPLITS = ("test", "validation", "valid", "val")  # the first one that has labels
MOST_CLASSES = 10_000  # larger integers are not class numbers, unless named


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of images and labels; ``label`` and ``names`` are empty where there are none.
    ``is_text``: each label is text, the name of its class."""

    image: str
    label: str
    names: tuple[str, ...]
    is_text: bool


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """One file, without its images: ``paths`` [n] ("": none), ``labels`` int64[n], -1 unknown;
    ``groups`` are the sizes of its row groups."""

    name: str
    split: str
    groups: list[int]
    columns: _Columns
    paths: list[str]
    labels: NDArray[np.int64]
    texts: tuple[str, ...] = ()  # what the labels of this file index, where they are text


def read_parquet(root: Path, names: list[str]) -> Work[Content]:
    """Read the parquet files among ``names`` below ``root``, or ``root`` itself (names [""]).

    Raises SourceError as :func:`read_shards` does.
    """
    yield from ()
    shards = read_shards(str(root), names, lambda name: root / name)
    folder = root if root.is_dir() else root.parent
    targets, class_names = _classes(shards)
    return Content(
        keys=[key for keys in unique_keys(shards) for key in keys],
        targets=targets,
        in_test=np.repeat([s.split != "train" for s in shards], [len(s.labels) for s in shards]),
        class_names=class_names,
        pictures=(p for shard in shards for p in _pictures(root / shard.name, shard, folder)),
    )


def read_shards(where: str, names: Sequence[str], at: Callable[[str], Any]) -> list[Shard]:
    """Everything but the images of the parquet files among ``names``: training files first.

    If some files are of a ``train`` split, they hold the training images, and the first of
    TEST_SPLITS that has labels the test images; other splits are not used. ``at`` returns what
    PyArrow opens for a name in ``where``. Raises SourceError on a damaged file, one without images,
    and labels that are missing or have no name.
    """
    files = [name for name in names if name == "" or is_parquet(name)]
    splits = {name: _split_of(name) for name in files}
    if "train" in splits.values():
        files = [name for name in files if splits[name]]
    else:
        splits = dict.fromkeys(files, "train")
    shards = [_read_shard(where, name, splits[name], at(name)) for name in files]
    train = [shard for shard in shards if shard.split == "train"]
    labelled_tests = ([s for s in shards if s.split == split] for split in TEST_SPLITS)
    test = next((t for t in labelled_tests if any((s.labels >= 0).any() for s in t)), [])
    columns = train[0].columns
    if differing := [s.name for s in train + test if s.columns != columns]:
        raise SourceError(f"{where}: {differing[0]} has other columns or classes than {files[0]}.")
    return train + test


def _classes(shards: Sequence[Shard]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The class of every image, and the class names: the texts in alphabetical order, else as the
    files list them, else their numbers."""
    targets = np.concatenate([shard.labels for shard in shards])
    columns = shards[0].columns
    if not columns.is_text:
        numbers = range(targets.max(initial=-1) + 1)
        return targets, columns.names or tuple(str(i) for i in numbers)
    names = sorted({text for shard in shards for text in shard.texts})
    number = {text: i for i, text in enumerate(names)}
    labels = [np.array([number[t] for t in s.texts], dtype=np.int64)[s.labels] for s in shards]
    return np.concatenate(labels), tuple(names)


def _split_of(name: str) -> str:
    """``train`` for ``train-00000-of-00001.parquet``, ``train.parquet``, ``train/0.parquet``."""
    splits = "|".join(("train", *TEST_SPLITS))
    match = re.search(rf"(?:^|/)({splits})[-._/][^/]*$", name.lower())
    return match[1] if match else ""


def _read_shard(where: str, name: str, split: str, source: Any) -> Shard:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = f"{where}/{name}" if name else where
    with _sentences(file), pq.ParquetFile(source) as parquet:
        about = parquet.metadata
        groups = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        columns = _columns(parquet.schema_arrow, file)
        wanted = [f"{columns.image}.path"] + ([columns.label] if columns.label else [])
        table = parquet.read(columns=wanted)
        column = table[columns.image].combine_chunks()
        # No database stores zero bytes.
        paths = [(path or "").replace("\0", "\\x00") for path in column.field("path").to_pylist()]
        if not columns.label:
            unknown = np.full(len(paths), -1, dtype=np.int64)
            return Shard(name, split, groups, columns, paths, unknown)
        column = table[columns.label]
        texts: tuple[str, ...] = ()
        if columns.is_text:
            encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
            column, texts = encoded.indices, tuple(encoded.dictionary.to_pylist())
        if column.null_count or any(not text.strip() for text in texts):
            raise SourceError(f"{file} has rows without a label in its column {columns.label}.")
        if len(texts) > MOST_CLASSES:
            raise SourceError(
                f"{file} has {len(texts):,} different texts in its column {columns.label}: are "
                "those classes?"
            )
        labels = column.to_numpy()  # of any integer type
        limit = len(columns.names) or MOST_CLASSES
        if len(labels) and labels.max() >= limit:
            raise SourceError(
                f"{file} has the label {labels.max()} in its column {columns.label}, "
                f"which has only {limit} classes."
            )
        labels = np.maximum(labels.astype(np.int64), -1)
        return Shard(name, split, groups, columns, paths, labels, texts)


def _columns(schema: Any, file: str) -> _Columns:
    import pyarrow as pa

    described = _described(schema.metadata or {})
    kinds = {name: str(about.get("_type", "")) for name, about in described.items()}
    images = [f.name for f in schema if _holds_images(f.type) and kinds.get(f.name) in IMAGE_KINDS]
    if not images:
        raise SourceError(f"{file} has no column of images (a struct of bytes and path).")
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    classes = [name for name in integers if kinds.get(name) == "ClassLabel"]
    texts = [field.name for field in schema if _holds_texts(field.type)]
    usual = [name for name in LABEL_COLUMNS if name in (classes or integers + texts)]
    label = (usual + classes + [""])[0]
    other = [name for name in LABEL_COLUMNS if name in schema.names]
    if other and not label:
        raise SourceError(
            f"{file} has {schema.field(other[0]).type} in its column {other[0]}: give whole "
            "numbers or texts, or rename it."
        )
    names = described.get(label, {}).get("names")
    listed = names if isinstance(names, list) else []
    return _Columns(images[0], label, tuple(str(name) for name in listed), label in texts)


def _described(metadata: dict[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """What Hugging Face's metadata says about each column; empty where it is malformed."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: about for name, about in features.items() if isinstance(about, dict)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _holds_images(kind: Any) -> bool:
    """Whether a column's type is a struct of ``bytes`` and ``path``."""
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return False
    fields = {child.name: child.type for child in kind}
    is_encoded = fields.get("bytes") in (pa.binary(), pa.large_binary())
    return is_encoded and _holds_texts(fields.get("path"))


def _holds_texts(kind: Any) -> bool:
    import pyarrow as pa

    if isinstance(kind, pa.DictionaryType):
        kind = kind.value_type
    return kind in (pa.string(), pa.large_string())


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


def is_parquet(name: str) -> bool:
    """Whether a file of that name is parquet."""
    return name.lower().endswith(".parquet")


def _pictures(file: Path, shard: Shard, folder: Path) -> Iterator[Picture]:
    import pyarrow.parquet as pq

    # Without pre_buffer a row group is read page by page, however large it is.
    with _sentences(file), pq.ParquetFile(file, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(BATCH, columns=[shard.columns.image], use_threads=False):
            for image in batch.column(0).to_pylist():
                yield _picture(image or {}, folder)


def _picture(image: dict[str, Any], folder: Path) -> Picture:
    if (encoded := image.get("bytes")) is not None:
        return bytes(encoded)
    if not image.get("path"):
        return None
    with suppress(OSError, ValueError):  # a name that no file can have
        file = (folder / image["path"]).resolve()
        # A downloaded data set has no business with other files of this machine.
        return file if file.is_relative_to(folder) and file.is_file() else None
    return None


@contextmanager
def _sentences(file: object) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{file} is damaged or is no parquet file.") from error
