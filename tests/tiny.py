"""Pictures, folders and parquet files small enough to know by heart, and how tests load them."""

import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from al_core.errors import FileNotWritten, SourceError
from al_core.features.embedding_files import file_named, write_file
from al_core.images.dataset_cache import load
from al_core.progress import finish

COLOURS = ("red", "green", "blue")


def picture(shade, size=(8, 8)):
    return Image.new("RGB", size, (shade, shade, shade))


def encoded(image, kind="PNG", **how):
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def coloured(place):
    """Noise in one of the COLOURS, in turn: uint8 [48,64,3]."""
    pixels = np.random.default_rng(place).integers(0, 90, (48, 64, 3), dtype=np.uint8)
    pixels[..., place % 3] += 140
    return pixels


def photographs_in(root, count):
    """Write so many pictures of three classes, the COLOURS."""
    for place in range(count):
        path = root / COLOURS[place % 3] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coloured(place)).save(path)
    return root


def shades(*names):
    """The bytes of a picture by each name, each of another shade."""
    return {name: encoded(picture(10 + i)) for i, name in enumerate(names)}


def zipped(files):
    """A .zip of files whose names are not looked at."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, one in files.items():
            archive.writestr(zipfile.ZipInfo(name), one, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def folder_of(root, *names):
    """Write a picture for each name, each of another shade."""
    for shade, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(10 + shade).save(path)
    return root


def wide(turned: bool = False) -> Image.Image:
    """A red picture of 600 x 200 with a green left edge; lying on its side, and said to be so."""
    image = Image.new("RGB", (600, 200), "red")
    image.paste("green", (0, 0, 60, 200))
    return image.transpose(Image.Transpose.ROTATE_90) if turned else image


def of_all_shapes(folder):
    """Write pictures of all shapes, in two classes."""
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    wide().save(folder / "a" / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    wide(turned=True).save(folder / "a" / "turned.jpg", exif=exif, quality=95)
    Image.new("RGBA", (40, 80), (0, 0, 255, 0)).save(folder / "b" / "nothing.png")
    Image.new("RGB", (500, 500), "blue").save(folder / "b" / "blue.tif")
    return folder


def shard(path, labels, *, names=("cat", "dog"), image="img", label="label", rows=None, group=None):
    """Write one parquet file of shades 0, 1, 2... as Hugging Face does."""
    rows = rows or [{"bytes": encoded(picture(i)), "path": f"{i}.png"} for i in range(len(labels))]
    features = {image: {"_type": "Image"}, label: {"_type": "ClassLabel", "names": list(names)}}
    if not names:
        features[label] = {"_type": "Value", "dtype": "int64"}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {image: pa.array(rows, kind), label: pa.array(labels, pa.int64())}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=group)
    return path


def parquet_of(root, group=2):
    """Splits whose images have the same paths in each, some in a group of rows; one is not used. Of
    14 images in a split one is damaged, and one lies beside the file."""
    folder_of(root, "beside.png")
    for shade, split in enumerate(("train", "test", "validation")):
        rows = [{"bytes": encoded(picture(60 * shade + i)), "path": f"{i}.png"} for i in range(12)]
        rows += [{"bytes": b"no picture", "path": "broken.png"}]
        rows += [{"bytes": None, "path": "beside.png"}]
        shard(root / f"{split}.parquet", [0, 1] * 7, rows=rows, group=group)
    return root


def loaded(source, cache, image_size=8):
    return finish(load(str(source), image_size=image_size, cache_dir=cache))


def sentence(source, cache, **how):
    with pytest.raises((SourceError, FileNotWritten)) as error:
        loaded(source, cache, **how)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    return str(error.value)


def pixels_of(home):
    """The digits' own pixels as embeddings, in a file."""
    digits = finish(load("digits", cache_dir=home / "cache"))
    arrays = {
        name: images.images[:, 0, ::4, ::4].reshape(len(images), -1).astype(np.float32) / 255
        for name, images in (("train", digits.train), ("test", digits.test))
    }
    np.savez(home / "pixels.npz", **arrays)
    return home / "pixels.npz"


def write_rows(folder, number, keys, rows):
    """An embedding file of images that nobody looks for by their pixels."""
    path = file_named(folder, str(number))
    write_file(path, keys, [bytes(16)] * len(keys), rows)
    return path
