"""The images of a source in shards, each read by the worker that needs it.

An ``ImageShard`` is plain data: where its images are, or the images themselves, and the ``name`` of
its embedding file, which changes when its images do. Folders and parquet may be in any object store
that PyArrow reads.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from socket import gethostname
from typing import Any

import numpy as np
from PIL import Image

from al_core.config import SMALL
from al_core.errors import ConfigError
from al_core.features.embedding_files import ROWS
from al_core.files.atomic import whole_file
from al_core.files.paths import home
from al_core.images.dataset import check_size, identities
from al_core.images.dataset_cache import load
from al_core.pictures.decoding import decode
from al_core.pictures.digests import digest_of
from al_core.pictures.square import Square
from al_core.progress import Progress, Work
from al_core.sources.content import FileStamp
from al_core.sources.formats import ENDINGS
from al_core.sources.listing import TABLES, ending_of, is_litter, natural
from al_core.sources.listing import keys_of as keys_of_files
from al_core.sources.parquet import as_row, read_shards, unique_keys
from al_core.sources.sources import find
from al_core.sources.tables import is_parquet

ImageShard = dict[str, Any]
MOST_ROWS = 16 * ROWS  # of a row group in a shard; each shard reads its group from the beginning
MOST_BYTES = 256 << 20  # of pixels in such a shard
AT_ONCE = 32  # requests to an object store at a time, as each is slow


def shards_of(source: str, square: Square) -> Work[tuple[list[ImageShard], str]]:
    """The images of a source in shards, each in its ``square``, and its fingerprint where known.
    Folders and parquet are read by the workers; other sources are small, and read here. Raises
    SourceError and ConfigError.
    """
    image_size = square.size
    check_size(image_size)
    fingerprint = ""
    if "://" in source:
        shards = _of_files(*_listed(source), image_size)
    else:
        found = yield from find(source)
        where, stamps = Path(found.where), found.stamps
        if found.kind in ("folder", "parquet"):
            if where.is_file():
                where, stamps = where.parent, ((where.name, *stamps[0][1:]),)
            shards = _of_files(where.as_uri(), stamps, image_size)
        else:
            dataset = yield from load(
                source, image_size=min(image_size, SMALL), cache_dir=home() / "cache"
            )
            fingerprint = dataset.fingerprint
            shards = [
                {
                    "keys": list(images.keys[start : start + ROWS]),
                    "digests": identities(images)[start : start + ROWS].tolist(),
                    "images": np.array(images.images[start : start + ROWS]),
                }
                for images in dataset.splits
                for start in range(0, len(images), ROWS)
            ]
    return [shard | {"name": _name(shard), "square": square} for shard in shards], fingerprint


def _listed(address: str) -> tuple[str, list[FileStamp]]:
    """The address of a folder, or of the folder that a file is in, and its files."""
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
    stamps = [
        stamp
        for stamp in stamps
        if not any(map(is_litter, stamp[0].split("/")))
        and ending_of(stamp[0]) in (*ENDINGS, ".parquet")
    ]
    return address, sorted(stamps, key=lambda stamp: natural(stamp[0]))


def _of_files(address: str, stamps: Sequence[FileStamp], image_size: int) -> list[ImageShard]:
    """The shards of a folder: those of its parquet files, else of its images."""
    if parquet := [stamp for stamp in stamps if is_parquet(stamp[0])]:
        return _of_parquet(address, parquet, image_size)
    images = [s for s in stamps if s[1] >= 0 and not s[0].lower().endswith(TABLES)]
    if not images:
        raise ConfigError(f"{address} holds no images ({', '.join(ENDINGS)}).")
    return [
        {"address": address, "files": images[start : start + ROWS]}
        for start in range(0, len(images), ROWS)
    ]


def _of_parquet(address: str, stamps: Sequence[FileStamp], image_size: int) -> list[ImageShard]:
    """The shards of each row group of each file, with the keys that images have everywhere else."""
    from pyarrow import fs

    system, root = fs.FileSystem.from_uri(address)
    stamp_of = {stamp[0]: stamp for stamp in stamps}
    tables = read_shards(
        address, list(stamp_of), lambda name: system.open_input_file(f"{root}/{name}")
    )
    most = min(MOST_ROWS, max(ROWS, MOST_BYTES // (3 * image_size**2)))
    shards = []
    for table, keys in zip(tables, unique_keys(tables), strict=True):
        where = {"address": address, "files": [stamp_of[table.name]], "column": table.columns.image}
        left = iter(keys)
        for group, rows in enumerate(table.groups):
            its = list(islice(left, rows))
            shards += [
                where | {"group": group, "start": start, "keys": its[start : start + most]}
                for start in range(0, rows, most)
            ]
    return shards


def _name(shard: ImageShard) -> str:
    about = [shard.get(what) for what in ("files", "group", "start", "keys")]
    digest = blake2b(json.dumps(about).encode(), digest_size=8)
    digest.update(shard.get("images", b""))
    return digest.hexdigest()


def keys_of(shard: ImageShard) -> list[str]:
    """The keys of all images of a shard, unreadable ones included."""
    if "keys" in shard:
        return list(shard["keys"])
    return keys_of_files([stamp[0] for stamp in shard["files"]])


def with_images(shard: ImageShard) -> ImageShard:
    """A shard that holds its images itself, uint8 ``[n,3,S,S]``, without unreadable ones, and the
    digests of their files."""
    square = shard["square"]
    if "images" in shard:
        pixels = shard["images"]
        if pixels.shape[-1] != square.size:
            upright = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
            pixels = np.stack([decode(one, square) for one in upright])
        return {**shard, "images": pixels}
    keys, digests, images = [], [], []
    for key, picture in pictures_in(shard, set(keys_of(shard))):
        with suppress(Exception):  # damaged files raise nearly anything
            images.append(decode(picture, square))
            keys.append(key)
            digests.append(digest_of(picture or b""))
    pixels = np.stack(images) if images else np.empty((0, 3, square.size, square.size), np.uint8)
    return {"name": shard["name"], "keys": keys, "digests": digests, "images": pixels}


def pictures_in(shard: ImageShard, wanted: Collection[str]) -> Iterator[tuple[str, bytes | None]]:
    """The image files with these keys in a shard, each with its key; None for a missing one."""
    if "images" in shard:
        for key, pixels in zip(shard["keys"], shard["images"], strict=True):
            if key in wanted:
                png = io.BytesIO()
                Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(png, "PNG")
                yield key, png.getvalue()
        return
    import pyarrow.parquet as pq
    from pyarrow import fs

    system, root = fs.FileSystem.from_uri(shard["address"])
    if system.type_name == "local" and not Path(root).is_dir():
        raise ConfigError(f"There is no folder {root} on {gethostname()}.")  # not: no such images

    def contents(name: str) -> bytes | None:
        """A file's bytes; None where it is gone or access is denied. Other errors are raised: a
        store that is briefly unavailable should not cost images."""
        with suppress(FileNotFoundError, PermissionError):
            if system.type_name == "local":  # where names need not be text
                return Path(f"{root}/{name}").read_bytes()
            with system.open_input_file(f"{root}/{name}") as file:
                return bytes(file.read())
        return None

    names = [stamp[0] for stamp in shard["files"]]
    if "group" not in shard:
        key_of = dict(zip(names, keys_of_files(names), strict=True))
        names = [name for name in names if key_of[name] in wanted]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = map if system.type_name == "local" else pool.map
            for start in range(0, len(names), AT_ONCE):
                some = names[start : start + AT_ONCE]
                yield from zip(map(key_of.get, some), read(contents, some), strict=True)
        return
    with system.open_input_file(f"{root}/{names[0]}") as file:
        groups, columns = [shard["group"]], [shard["column"]]
        batches = pq.ParquetFile(file).iter_batches(ROWS, row_groups=groups, columns=columns)
        rows = chain.from_iterable(batch.column(0) for batch in batches)
        for key, row in zip(shard["keys"], islice(rows, shard["start"], None), strict=False):
            image = as_row(row.as_py()) if key in wanted else {"bytes": None, "path": None}
            if image["bytes"] is not None:
                yield key, image["bytes"]
            elif path := image["path"]:  # a file beside the table
                yield key, contents(path) if _is_inside(system, root, path) else None


def _is_inside(system: Any, root: str, path: str) -> bool:
    """Whether a picture named in a table is inside the table's folder, following links."""
    if ".." in Path(path).parts:
        return False
    local = system.type_name == "local"
    return not local or (Path(root) / path).resolve().is_relative_to(Path(root).resolve())


def write_pictures(source: str, keys: Sequence[str], path: Path) -> Work[None]:
    """Write the images of ``source`` with these keys to a parquet file, in this order, each with
    its key as its path, so that it keeps that key; no class is written.

    ``source`` is as for :func:`al_core.distributed.embed.embed_on_ray`. Raises ConfigError where
    one of them is missing, and FileNotWritten where the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards, _ = yield from shards_of(source, Square(SMALL))
    wanted, found = set(keys), dict[str, bytes]()
    for number, shard in enumerate(shards):
        yield Progress("Gathering images", number, len(shards), "files", 0)
        if here := wanted.intersection(keys_of(shard)):
            found |= {key: file for key, file in pictures_in(shard, here) if file is not None}
    if missing := wanted.difference(found):
        raise ConfigError(
            f"{len(missing):,} of the images are not in {source}, for one {min(missing)}."
        )
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": found[key], "path": key} for key in keys]
    with whole_file(path) as file:
        pq.write_table(pa.table({"image": pa.array(rows, kind)}), file)
