"""Export of the labelled images: one folder per class, or parquet in Hugging Face's layout."""

from __future__ import annotations

import io
import json
import re
import time
import unicodedata
import zipfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from al_core.errors import SourceError
from al_core.experiment.experiment import Experiment
from al_core.files.atomic import whole_path
from al_core.images.dataset import Dataset
from al_core.images.sources import SOURCES
from al_core.progress import Progress, Work

ROWS_AT_ONCE = 1000  # pictures in one parquet row group, which are in memory together

Add = Callable[[int, str, str, bytes], None]
"""Takes one labelled image: its label, its key, and a file name, which is safe on any file system
and unique, with the file's content."""


def export_folders(experiment: Experiment, dataset: Dataset, target: Path) -> Work[int]:
    """Write each labelled image into a folder of its class below ``target``, or into a zip file of
    such folders if ``target`` ends in .zip; return how many there are.

    Images that came as files are copied as they are; others are written as PNG, in the experiment's
    size. Raises SourceError where one cannot be read, and FileNotWritten.
    """
    folders = _distinct(_file_name(name) for name in experiment.config.class_names)
    with whole_path(target) as half, _folder_or_zip(half, target.suffix.lower() == ".zip") as write:

        def add(label: int, _key: str, name: str, content: bytes) -> None:
            write(f"{folders[label]}/{name}", content)

        return (yield from _each_picture(experiment, dataset, add))


def export_parquet(experiment: Experiment, dataset: Dataset, target: Path) -> Work[int]:
    """Write the labelled images to one parquet file in Hugging Face's image layout, with the
    columns ``image``, ``label`` and ``key``; return how many there are.

    The pictures and the errors are those of :func:`export_folders`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(experiment.config.class_names)
    features = {
        "image": {"_type": "Image"},
        "label": {"names": names, "_type": "ClassLabel"},
        "key": {"dtype": "string", "_type": "Value"},
    }
    picture_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("image", picture_type), ("label", pa.int64()), ("key", pa.string())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    rows: list[dict[str, Any]] = []
    with whole_path(target) as half, pq.ParquetWriter(half, schema) as writer:

        def write() -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema))
            rows.clear()

        def add(label: int, key: str, name: str, content: bytes) -> None:
            image = {"bytes": content, "path": name}
            rows.append({"image": image, "label": label, "key": key})
            if len(rows) == ROWS_AT_ONCE:
                write()

        count = yield from _each_picture(experiment, dataset, add)
        write()
    return count


def _each_picture(experiment: Experiment, dataset: Dataset, add: Add) -> Work[int]:
    """Hand each labelled image to ``add``; return how many there are."""
    pool, train = experiment.pool, dataset.train
    labeled = pool.labeled.tolist()
    files = [_file(experiment.config.data, train.keys[image]) for image in labeled]
    names = _distinct(
        _file_name(file.name if file else f"{_stem(train.keys[image])}.png")
        for file, image in zip(files, labeled, strict=True)
    )
    start = time.perf_counter()
    for done, (image, label, file, name) in enumerate(
        zip(labeled, pool.labels.tolist(), files, names, strict=True), start=1
    ):
        try:
            content = file.read_bytes() if file else _png(train.images[image])
        except OSError as error:
            raise SourceError(f"{file} cannot be read: {error.strerror}.") from error
        add(label, train.keys[image], name, content)
        yield Progress("Writing", done, len(labeled), "images", time.perf_counter() - start)
    return len(labeled)


def _file(source: str, key: str) -> Path | None:
    """The file of that key, or None if the images did not come as separate files."""
    if source in SOURCES or not Path(source).is_dir():
        return None
    folder = Path(source).resolve()
    path = (folder / key).resolve()  # links out of the source are not followed
    return path if path.is_relative_to(folder) and path.is_file() else None


def _stem(key: str) -> str:
    """A key's last component, without an image suffix."""
    return re.sub(r"\.(jpe?g|png|webp|gif|bmp|tiff?|ppm)$", "", Path(key).name, flags=re.I)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(target, "PNG")
    return target.getvalue()


def _file_name(name: str) -> str:
    """``name`` without characters that are special on some file system."""
    safe = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "_", name).strip().strip(".")
    return safe.encode("utf-8")[:120].decode("utf-8", "ignore") or "_"


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, with a number before the suffix of each repeated one."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    distinct = []
    for name in names:
        free, number = name, numbers.get(_as_files(name), 1)
        while _as_files(free) in taken:
            number += 1
            stem, dot, suffix = name.rpartition(".")
            free = f"{stem} ({number}).{suffix}" if dot and stem else f"{name} ({number})"
        taken.add(_as_files(free))
        numbers[_as_files(name)] = number
        distinct.append(free)
    return distinct


def _as_files(name: str) -> str:
    """Some file systems treat cat and Cat as equal, and é and e with a combining accent."""
    return unicodedata.normalize("NFC", name).casefold()


@contextmanager
def _folder_or_zip(target: Path, as_zip: bool) -> Generator[Callable[[str, bytes], None]]:
    """How to write one file below ``target``."""
    if as_zip:
        with zipfile.ZipFile(target, "w") as archive:  # pictures are compressed already
            yield lambda name, content: archive.writestr(name, content)
        return

    target.mkdir(parents=True)  # also where no image has a label yet

    def write(name: str, content: bytes) -> None:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    yield write
