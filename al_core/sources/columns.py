"""Which columns of a table hold images and labels: by their types first, then by their names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError

LABELS = ("label", "labels", "fine_label", "target", "class", "class_name", "category")
SURE = LABELS[:5]  # if such a column holds no labels, something is wrong
BYTES = ("image", "img", "picture", "photo", "bytes", "image_bytes", "content", "jpg", "png")
PATHS = ("image", "img", "file_name", "filename", "file", "image_path", "path", "filepath")
IMAGE_KINDS = (None, "", "Image")  # as Hugging Face's metadata calls them, where it does
MOST_CLASSES = 10_000


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of images and labels; ``label`` and ``names`` are empty where there are none.

    ``image`` is a struct of bytes and path, or bytes, or with ``by_path`` the paths of files.
    ``names`` of classes are those that integers stand for.
    """

    image: str
    label: str
    names: tuple[str, ...] = ()
    by_path: bool = False
    has_path: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """``codes`` int64[n], -1: unknown, index ``values``, the names of classes."""

    codes: NDArray[np.int64]
    values: tuple[str, ...] = ()


def find_columns(schema: Any, file: str) -> Columns:
    """The columns of a table with this PyArrow schema. Raises SourceError where it has no images,
    or a column called like one of labels that holds none."""
    import pyarrow as pa

    described = _described(schema.metadata or {})
    kinds = {name: str(about.get("_type", "")) for name, about in described.items()}
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    classes = [name for name in integers if kinds.get(name) == "ClassLabel"]
    texts = [field.name for field in schema if _holds_texts(field.type)]
    structs = [f.name for f in schema if _is_image(f.type) and kinds.get(f.name) in IMAGE_KINDS]
    encoded = [f.name for f in schema if _holds_bytes(f.type) and f.name in BYTES]
    paths = [name for name in PATHS if name in texts]
    if not structs + encoded + paths:
        raise SourceError(
            f"{file} has no column of images: a struct of bytes and path, bytes, or the paths of "
            f"files in a column {', '.join(PATHS[:3])}."
        )
    usual = [name for name in LABELS if name in (classes or integers + texts)]
    label = (usual + classes + [""])[0]
    other = [name for name in SURE if name in schema.names]
    if other and not label:
        raise SourceError(
            f"{file} has {schema.field(other[0]).type} in its column {other[0]}: give whole "
            "numbers or texts, or rename it."
        )
    names = described.get(label, {}).get("names")
    listed = tuple(map(str, names)) if isinstance(names, list) else ()
    image = (structs + encoded + paths)[0]
    by_path = not structs and not encoded
    return Columns(image, label, listed if label in integers else (), by_path, image in structs)


def read_labels(column: Any, columns: Columns, file: str) -> Labels:
    """The labels in a PyArrow column. Negative numbers are unknown; other numbers without names
    are classes called by them. Raises SourceError for a row without one, and for too many."""
    import pyarrow as pa

    column = pa.chunked_array(column).combine_chunks()
    if isinstance(column.type, pa.DictionaryType):
        column = column.dictionary_decode()
    is_text = _holds_texts(column.type)
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    if column.null_count or (is_text and any(not text.strip() for text in values)):
        raise SourceError(f"{file} has rows without a label in its column {columns.label}.")
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if columns.names:
        if values and max(values) >= len(columns.names):
            raise SourceError(
                f"{file} has the label {max(values)} in its column {columns.label}, "
                f"which has only {len(columns.names)} classes."
            )
        numbers = np.array([max(value, -1) for value in values], dtype=np.int64)
        return Labels(numbers[codes] if len(codes) else codes, columns.names)
    if len(values) > MOST_CLASSES:
        raise SourceError(
            f"{file} has {len(values):,} different labels in its column {columns.label}, and at "
            f"most {MOST_CLASSES:,} can be classes: rename the column if it holds none."
        )
    known = [value for value in values if is_text or value >= 0]
    number = {value: i for i, value in enumerate(known)}
    renumbered = np.array([number.get(value, -1) for value in values], dtype=np.int64)
    return Labels(renumbered[codes] if len(codes) else codes, tuple(map(str, known)))


def _described(metadata: dict[bytes, bytes]) -> dict[str, dict[str, Any]]:
    """What Hugging Face's metadata says about each column; empty where it is malformed."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: about for name, about in features.items() if isinstance(about, dict)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def _is_image(kind: Any) -> bool:
    """Whether a column's type is a struct of ``bytes`` and ``path``. Where no row has a path, its
    type may be null."""
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return False
    fields = {child.name: child.type for child in kind}
    path = fields.get("path")
    return _holds_bytes(fields.get("bytes")) and (path == pa.null() or _holds_texts(path))


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return kind in (pa.binary(), pa.large_binary())


def _holds_texts(kind: Any) -> bool:
    import pyarrow as pa

    if isinstance(kind, pa.DictionaryType):
        kind = kind.value_type
    return kind in (pa.string(), pa.large_string())
