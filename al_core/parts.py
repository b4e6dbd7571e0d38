"""The images of a source in parts, each read where it is worked on.

A part is plain data: where its images lie, or the images themselves, and the ``number`` of the file
that is made of it. Folders and parquet may lie in an object store, as PyArrow reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.images import load
from al_core.parquet import image_column, is_parquet, row_key
from al_core.partitions import ROWS
from al_core.pictures import FileStamp, Picture, decode
from al_core.progress import Work
from al_core.sources import IMAGE_SUFFIXES, find, natural, printable
from al_core.store import home

Part = dict[str, Any]


def parts_of(source: str, image_size: int) -> Work[tuple[list[Part], str]]:
    """The images of a source in parts, and its fingerprint where it is known.

    A folder or parquet is read by the workers; what is neither is small, and read here.
    """
    if "://" in source:
        return _parts_of_address(source), ""
    found = yield from find(source)
    where = Path(found.where)
    if found.kind == "folder":
        stamps = [stamp for stamp in found.stamps if stamp[1] >= 0]
        return _parts_of_files(where.as_uri(), stamps), ""
    if found.kind == "parquet":
        single = where.is_file()
        root = where.parent if single else where
        files = [(where.name, s, at) for _, s, at in found.stamps] if single else found.stamps
        return _parts_of_parquet(root.as_uri(), [f for f in files if is_parquet(f[0])]), ""
    dataset = yield from load(source, image_size=image_size, cache_dir=home() / "cache")
    parts: list[Part] = []
    for images in (dataset.train, dataset.test):
        for start in range(0, len(images), ROWS):
            rows = slice(start, start + ROWS)
            parts.append({
                "number": len(parts),
                "keys": list(images.keys[rows]),
                "images": np.array(images.images[rows]),
            })  # fmt: skip
    return parts, dataset.fingerprint


def _parts_of_address(address: str) -> list[Part]:
    """The parts of a folder somewhere: its parquet files, else its images."""
    from pyarrow import ArrowInvalid, fs

    try:
        system, root = fs.FileSystem.from_uri(address)
        found = system.get_file_info(fs.FileSelector(root, recursive=True))
    except (OSError, ArrowInvalid) as error:
        raise ConfigError(f"{address} cannot be listed ({error}).") from error
    stamps = [
        (file.path.removeprefix(root).lstrip("/"), file.size or 0, file.mtime_ns or 0)
        for file in found
        if file.type == fs.FileType.File
    ]
    stamps = sorted((s for s in stamps if "/." not in f"/{s[0]}"), key=lambda s: natural(s[0]))
    if parquet := [stamp for stamp in stamps if is_parquet(stamp[0])]:
        return _parts_of_parquet(address, parquet)
    images = [stamp for stamp in stamps if stamp[0].lower().endswith(IMAGE_SUFFIXES)]
    if not images:
        raise ConfigError(f"{address} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    return _parts_of_files(address, images)


def _parts_of_files(address: str, stamps: Sequence[FileStamp]) -> list[Part]:
    return [
        {"number": number, "address": address, "files": list(stamps[start : start + ROWS])}
        for number, start in enumerate(range(0, len(stamps), ROWS))
    ]


def _parts_of_parquet(address: str, stamps: Sequence[FileStamp]) -> list[Part]:
    """One for each group of rows of each file. Raises ConfigError unless each image has a name of
    its own, since nothing else tells them apart."""
    import pyarrow.parquet as pq
    from pyarrow import fs

    system, root = fs.FileSystem.from_uri(address)
    parts: list[Part] = []
    seen: set[str] = set()
    for stamp in stamps:
        name = stamp[0]
        with system.open_input_file(f"{root}/{name}") as file:
            parquet = pq.ParquetFile(file)
            column = image_column(parquet.schema_arrow, Path(name))
            images = parquet.read(columns=[f"{column}.path"])[column].combine_chunks()
            for path in images.field("path").to_pylist():
                if not path or path in seen:
                    raise ConfigError(
                        f"In {address} {'an image has no name' if not path else path + ' is twice'}"
                        ": with the engine ray each image needs a path of its own."
                    )
                seen.add(path)
            for group in range(parquet.num_row_groups):
                where = {"address": address, "files": [stamp], "group": group}
                parts.append({"number": len(parts), **where})
    return parts


def digest_of(parts: list[Part], fingerprint: str) -> str:
    """What tells a source, as it is now, from others and from itself at another time."""
    about = fingerprint or json.dumps(parts)
    return blake2b(about.encode(), digest_size=8).hexdigest()


def read_part(part: Part, image_size: int) -> tuple[list[str], NDArray[np.uint8]]:
    """The keys and the images, uint8 ``[n,3,S,S]``, of a part; without what cannot be read."""
    if "images" in part:
        return part["keys"], part["images"]
    keys, images = [], []
    for key, picture in _pictures(part):
        with suppress(Exception):  # damaged files raise nearly anything
            images.append(decode(picture, image_size))
            keys.append(key)
    empty = np.empty((0, 3, image_size, image_size), np.uint8)
    return keys, np.stack(images) if images else empty


def _pictures(part: Part) -> Iterator[tuple[str, Picture]]:
    import pyarrow.parquet as pq
    from pyarrow import fs

    system, root = fs.FileSystem.from_uri(part["address"])
    for name, *_ in part["files"]:
        with suppress(OSError), system.open_input_file(f"{root}/{name}") as file:
            if "group" not in part:
                yield printable(name), file.read()
                continue
            parquet = pq.ParquetFile(file)
            column = image_column(parquet.schema_arrow, Path(name))
            for image in parquet.read_row_group(part["group"], [column])[column].to_pylist():
                if image["bytes"] is not None:
                    yield row_key(image["path"]), image["bytes"]
