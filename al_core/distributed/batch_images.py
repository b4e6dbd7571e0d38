"""The pictures of a batch from a pool too large for the desk, as a file that the desk opens."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from al_core.distributed.image_shards import keys_of, parts_of, pictures_in
from al_core.errors import ConfigError
from al_core.files.atomic import whole_file
from al_core.images.decoding import Picture
from al_core.progress import Progress, Work


def write_pictures(source: str, keys: Sequence[str], path: Path) -> Work[None]:
    """Write the images of ``source`` with these keys to a parquet file, in this order, each with
    its key as its path, so that it keeps that key; no class is written.

    ``source`` is as for :func:`al_core.distributed.embed.embed_on_ray`. Raises ConfigError where
    one of them is missing, and FileNotWritten where the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards, _ = yield from parts_of(source, 32)
    wanted, found = set(keys), dict[str, bytes]()
    for number, shard in enumerate(shards):
        yield Progress("Gathering images", number, len(shards), "files", 0)
        if here := wanted.intersection(keys_of(shard)):
            pictures = {key: _bytes(picture) for key, picture in pictures_in(shard, here)}
            found |= {key: picture for key, picture in pictures.items() if picture is not None}
    if missing := wanted.difference(found):
        raise ConfigError(
            f"{len(missing):,} of the images are not in {source}, for one {min(missing)}."
        )
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": found[key], "path": key} for key in keys]
    with whole_file(path) as file:
        pq.write_table(pa.table({"image": pa.array(rows, kind)}), file)


def _bytes(picture: Picture) -> bytes | None:
    """A picture as the bytes of a file."""
    from PIL import Image

    if picture is None or isinstance(picture, bytes):
        return picture
    if isinstance(picture, Path):
        return picture.read_bytes()
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
