"""Export of the labelled images: one folder per class, or parquet in Hugging Face's layout.

What cameras and programs wrote into the files, such as the place and the time, stays behind unless
it is asked for: who hands on labels seldom means to hand on where everybody lives.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from al_core.errors import SourceError
from al_core.experiment.experiment import Experiment
from al_core.files.atomic import whole_path
from al_core.files.safe_names import Distinct, safe_name
from al_core.images.dataset import Dataset, has_files
from al_core.pictures.metadata import without_metadata
from al_core.progress import Progress, Work
from al_core.sources.formats import ENDINGS, sniffed
from al_core.sources.listing import ending_of

ROWS_AT_ONCE = 1000  # pictures in one parquet row group, which are in memory together

Add = Callable[[int, str, str, bytes], None]
"""Takes one labelled image: its label, its key, and a file name, which is safe on any file system
and unique, with the file's content."""


def export_folders(
    experiment: Experiment, dataset: Dataset, target: Path, keep_metadata: bool = False
) -> Work[int]:
    """Write each labelled image into a folder of its class below ``target``, or into a zip file of
    such folders if ``target`` ends in .zip; return how many there are.

    Images that came as files, also in a .zip or in a table, are copied, as they are with
    ``keep_metadata``, else without what is not needed to show them
    (:func:`al_core.pictures.metadata.without_metadata`); others are written as PNG, in the
    experiment's size. Raises SourceError where one is not there any more, and FileNotWritten.
    """
    free = Distinct()
    named = experiment.classes.named
    folders = {number: free(safe_name(name)) for number, name in named.items()}
    with whole_path(target) as half, _folder_or_zip(half, target.suffix.lower() == ".zip") as write:

        def add(label: int, _key: str, name: str, content: bytes) -> None:
            write(f"{folders[label]}/{name}", content)

        return (yield from _each_picture(experiment, dataset, add, keep_metadata))


def export_parquet(
    experiment: Experiment, dataset: Dataset, target: Path, keep_metadata: bool = False
) -> Work[int]:
    """Write the labelled images to one parquet file in Hugging Face's image layout, with the
    columns ``image``, ``label`` and ``key``; return how many there are.

    The pictures and the errors are those of :func:`export_folders`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown = sorted(experiment.classes.shown)  # those that came first keep their numbers
    place = {number: i for i, number in enumerate(shown)}
    names = [experiment.classes.names[number] for number in shown]
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
            rows.append({"image": image, "label": place[label], "key": key})
            if len(rows) == ROWS_AT_ONCE:
                write()

        count = yield from _each_picture(experiment, dataset, add, keep_metadata)
        write()
    return count


def _each_picture(
    experiment: Experiment, dataset: Dataset, add: Add, keep_metadata: bool
) -> Work[int]:
    """Hand each labelled image that is there to ``add``, under each of its names; return how many
    there are."""
    pool, train = experiment.pool.without(experiment.away), dataset.train
    labeled = [
        (image, label, key)
        for image, label in zip(pool.labeled.tolist(), pool.labels.tolist(), strict=True)
        for key in [train.keys[image], *experiment.names_of(pool.answers[image])[1:]]
    ]
    free = Distinct()
    start = time.perf_counter()
    for done, (image, label, key) in enumerate(labeled, start=1):
        content = _own_bytes(dataset, image) if has_files(dataset) else _png(train.images[image])
        name = _name_of(key, content)
        if not keep_metadata and has_files(dataset):
            before, content = sniffed(content[:32]), without_metadata(content)
            if (ending := sniffed(content[:32])) != before:  # it had to be written anew
                name = f"{name}{ending}"
        add(label, key, free(safe_name(name)), content)
        yield Progress("Writing", done, len(labeled), "images", time.perf_counter() - start)
    return len(labeled)


def _own_bytes(dataset: Dataset, image: int) -> bytes:
    """The file of a training image, as it was when its source was read."""
    train = dataset.train
    assert dataset.pictures is not None
    assert train.files is not None
    content = dataset.pictures.find(train.files[image]["digest"].tobytes())
    if not isinstance(content, bytes):
        raise SourceError(f"{train.keys[image]} is not there any more, or is another file by now.")
    return content


def _name_of(key: str, content: bytes) -> str:
    """What a picture's file is called: as it was, or with the ending of its content if it had none
    of a picture."""
    name = key.rpartition("/")[2]
    return name if ending_of(name) in ENDINGS else f"{name}{sniffed(content[:32])}"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(target, "PNG")
    return target.getvalue()


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
