"""The images of a source in shards, each read by the worker that needs it.

A shard (``Part``) is plain data: where its images are, or the images themselves, and the ``name``
of its embedding file, which changes when its images do. Folders and parquet may be in any object
store that PyArrow reads.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from socket import gethostname
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.errors import ConfigError
from al_core.features.embedding_files import ROWS
from al_core.files.paths import home
from al_core.images.dataset import check_size
from al_core.images.dataset_cache import load
from al_core.images.decoding import FileStamp, Picture, decode
from al_core.images.folder import IMAGE_SUFFIXES, natural, printable
from al_core.images.parquet import is_parquet, read_shards, unique_keys
from al_core.images.sources import find
from al_core.progress import Work

Part = dict[str, Any]
MOST_ROWS = 16 * ROWS  # of a row group in a shard; each shard reads its group from the beginning
MOST_BYTES = 256 << 20  # of pixels in such a shard
AT_ONCE = 32  # requests to an object store at a time, as each is slow


def parts_of(source: str, image_size: int) -> Work[tuple[list[Part], str]]:
    """The images of a source in shards, and its fingerprint where known. Folders and parquet are
    read by the workers; other sources are small, and read here. Raises SourceError and ConfigError.
    """
    check_size(image_size)
    if "://" in source:
        return _parts_of_address(source, image_size), ""
    found = yield from find(source)
    where = Path(found.where)
    if found.kind == "folder":
        stamps = [stamp for stamp in found.stamps if stamp[1] >= 0]
        return _parts_of_files(where.as_uri(), stamps), ""
    if found.kind == "parquet":
        single = where.is_file()
        root = where.parent if single else where
        files = [(where.name, s, at) for _, s, at in found.stamps] if single else found.stamps
        files = [file for file in files if is_parquet(file[0])]
        return _parts_of_parquet(root.as_uri(), files, image_size), ""
    dataset = yield from load(source, image_size=image_size, cache_dir=home() / "cache")
    parts: list[Part] = []
    for images in dataset.parts:
        for start in range(0, len(images), ROWS):
            rows = slice(start, start + ROWS)
            its = {"keys": list(images.keys[rows]), "images": np.array(images.images[rows])}
            parts.append(_named(its))
    return parts, dataset.fingerprint


def _parts_of_address(address: str, image_size: int) -> list[Part]:
    """The shards of a folder at an address: its parquet files, else its images."""
    from pyarrow import ArrowInvalid, fs

    try:
        system, root = fs.FileSystem.from_uri(address)
        if system.get_file_info(root).type == fs.FileType.File:  # one parquet file
            path, mark, how = address.partition("?")
            address = path.rpartition("/")[0] + mark + how
            found, root = [system.get_file_info(root)], root.rpartition("/")[0]
        else:
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
        return _parts_of_parquet(address, parquet, image_size)
    images = [stamp for stamp in stamps if stamp[0].lower().endswith(IMAGE_SUFFIXES)]
    if not images:
        raise ConfigError(f"{address} holds no images ({', '.join(IMAGE_SUFFIXES)}).")
    return _parts_of_files(address, images)


def _parts_of_files(address: str, stamps: Sequence[FileStamp]) -> list[Part]:
    return [
        _named({"address": address, "files": list(stamps[start : start + ROWS])})
        for start in range(0, len(stamps), ROWS)
    ]


def _parts_of_parquet(address: str, stamps: Sequence[FileStamp], image_size: int) -> list[Part]:
    """The shards of each row group of each file, with the keys that images have everywhere else."""
    from pyarrow import fs

    system, root = fs.FileSystem.from_uri(address)
    stamp_of = {stamp[0]: stamp for stamp in stamps}
    shards = read_shards(
        address, list(stamp_of), lambda name: system.open_input_file(f"{root}/{name}")
    )
    most = min(MOST_ROWS, max(ROWS, MOST_BYTES // (3 * image_size**2)))
    parts: list[Part] = []
    for shard, keys in zip(shards, unique_keys(shards), strict=True):
        where = {"address": address, "files": [stamp_of[shard.name]], "column": shard.columns.image}
        ends = np.cumsum(shard.groups).tolist()
        for group, (rows, end) in enumerate(zip(shard.groups, ends, strict=True)):
            for start in range(0, rows, most):
                its = keys[end - rows + start : min(end - rows + start + most, end)]
                parts.append(_named(where | {"group": group, "start": start, "keys": its}))
    return parts


def _named(part: Part) -> Part:
    about = [part.get(what) for what in ("files", "group", "start", "keys")]
    digest = blake2b(json.dumps(about).encode(), digest_size=8)
    digest.update(part.get("images", b""))
    return part | {"name": digest.hexdigest()}


def keys_of(part: Part) -> list[str]:
    """The keys of all images of a shard, unreadable ones included."""
    if "keys" in part:
        return list(part["keys"])
    return [printable(stamp[0]) for stamp in part["files"]]


def read_part(part: Part, image_size: int) -> tuple[list[str], NDArray[np.uint8]]:
    """The keys and images, uint8 ``[n,3,S,S]``, of a shard, without unreadable ones."""
    if "images" in part:
        return keys_of(part), part["images"]
    keys, images = [], []
    for key, picture in pictures_in(part, set(keys_of(part))):
        with suppress(Exception):  # damaged files raise nearly anything
            images.append(decode(picture, image_size))
            keys.append(key)
    empty = np.empty((0, 3, image_size, image_size), np.uint8)
    return keys, np.stack(images) if images else empty


def pictures_in(part: Part, wanted: Collection[str]) -> Iterator[tuple[str, Picture]]:
    """The images with these keys in a shard, each with its key; None for a missing one."""
    if "images" in part:
        for key, pixels in zip(part["keys"], part["images"], strict=True):
            if key in wanted:
                yield key, np.ascontiguousarray(pixels.transpose(1, 2, 0))
        return
    import pyarrow.parquet as pq
    from pyarrow import fs

    system, root = fs.FileSystem.from_uri(part["address"])
    if system.type_name == "local" and not Path(root).is_dir():
        raise ConfigError(f"There is no folder {root} on {gethostname()}.")  # not: no such images

    def contents(name: str) -> Picture:
        """A file's bytes; None where it is gone or access is denied. Other errors are raised: a
        store that is briefly unavailable should not cost images."""
        with suppress(FileNotFoundError, PermissionError):
            if system.type_name == "local":  # where names need not be text
                return Path(f"{root}/{name}").read_bytes()
            with system.open_input_file(f"{root}/{name}") as file:
                return bytes(file.read())
        return None

    names = [stamp[0] for stamp in part["files"]]
    if "group" not in part:
        names = [name for name in names if printable(name) in wanted]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = map if system.type_name == "local" else pool.map
            for start in range(0, len(names), AT_ONCE):
                some = names[start : start + AT_ONCE]
                yield from zip(map(printable, some), read(contents, some), strict=True)
        return
    with system.open_input_file(f"{root}/{names[0]}") as file:
        rows = _rows(pq.ParquetFile(file), part)
        for key, image in zip(part["keys"], rows, strict=True):
            image = image or {}
            if key not in wanted:
                continue
            if image.get("bytes") is not None:
                yield key, image["bytes"]
            elif path := image.get("path"):  # a file beside the table
                yield key, contents(path) if _is_inside(system, root, path) else None


def _rows(parquet: Any, part: Part) -> Iterator[Any]:
    """The images of a shard's rows, read a few at a time."""
    row, start, end = 0, part["start"], part["start"] + len(part["keys"])
    groups, columns = [part["group"]], [part["column"]]
    for batch in parquet.iter_batches(ROWS, row_groups=groups, columns=columns):
        first, last = max(start - row, 0), min(end - row, len(batch))
        if first < last:
            yield from batch.column(0).slice(first, last - first).to_pylist()
        row += len(batch)
        if row >= end:
            return


def _is_inside(system: Any, root: str, path: str) -> bool:
    """Whether a picture named in a table is inside the table's folder, following links."""
    if ".." in Path(path).parts:
        return False
    local = system.type_name == "local"
    return not local or (Path(root) / path).resolve().is_relative_to(Path(root).resolve())
