"""The files of a cache: a source is decoded into them, and an index says whether they are whole."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError
from al_core.images.earlier import Earlier, Stamps, stamps_of
from al_core.images.near_copies import near_copies
from al_core.images.split import one_of_each, split
from al_core.pictures.decoding import decode_all
from al_core.pictures.digests import DIGEST, FILES
from al_core.pictures.values import Range, in_words
from al_core.progress import Progress, Work
from al_core.sources.content import Content, Found

ROWS = 1024  # images copied between two reports


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The N pictures of a source: ``readable`` bool [N], ``digests`` V16 [N] of their pixels,
    ``files`` FILES [N]. Those in ``known`` lie in that row of ``earlier``; the others were decoded,
    to the ``place`` int64 [N] in the file ``decoded``."""

    readable: NDArray[np.bool_]
    digests: NDArray[np.void]
    files: NDArray[np.void]
    ranges: Mapping[str, Range]
    place: NDArray[np.int64]
    decoded: Path
    known: Mapping[int, int]
    earlier: Earlier

    def pixels(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
        """Uint8 [3,S,S] of each of ``rows``."""
        taken = self.earlier.images
        # The file is let go with the last of them: where it is in use, it may not be removable.
        is_new = len(self.known) < len(self.place)
        decoded = np.memmap(self.decoded, np.uint8, "r") if is_new else np.empty(0, np.uint8)
        squares = decoded.reshape(-1, *taken.shape[1:])
        for row in rows.tolist():
            yield taken[self.known[row]] if row in self.known else squares[self.place[row]]


def decode_into(
    folder: Path, content: Content, image_size: int, found: Found, earlier: Earlier
) -> Work[dict[str, Any]]:
    """Write images.npy, targets.npy, digests.npy, files.npy and index.json, and return the index:
    training images first, then test images, then those left out since their classes differ, then
    those that are not in the source any more.

    Raises SourceError where there is nothing to train on, or the source disappears.
    """
    stamps = stamps_of(found) if found.kind == "folder" else {}
    here = yield from _decoded(folder / "decoded", content, image_size, stamps, earlier)
    if found.where and not os.path.exists(found.where):
        raise SourceError(f"{found.where} disappeared while it was read: check its disk.")
    each = one_of_each(content, here.readable, here.files["digest"], found.kind)
    content, is_image, others = each.content, each.is_image, each.others
    judged = np.flatnonzero(is_image)
    near = yield from near_copies(here.pixels(judged), here.files[judged])
    near = [judged[group].tolist() for group in near]
    parts = split(content, is_image, here.digests, near)
    _check(content, here.readable, parts.train, found.where)
    rows = np.concatenate([parts.train, parts.test])
    used = set(rows.tolist())
    disputed = np.array([row for row in others if row not in used], np.int64)
    gone = earlier.gone(here.files) if content.at is not None else []
    about = {
        "train": len(parts.train),
        "class_names": content.class_names,
        "keys": _keys(content, rows),
    }
    fingerprint = hashlib.sha256(json.dumps([image_size, about]).encode())
    fingerprint.update(content.targets[rows].astype("<i8").tobytes())
    every = np.concatenate([rows, disputed])
    with (folder / "images.npy").open("wb") as file:
        _header(file, (len(every) + len(gone), *earlier.images.shape[1:]))
        yield from _copy_rows(here.pixels(rows), len(rows), file, fingerprint.update)
        yield from _copy_rows(here.pixels(disputed), len(disputed), file)
        yield from _copy_rows((earlier.images[row] for row in gone), len(gone), file)
    here.decoded.unlink()
    unknown = np.full(len(gone), -1)  # a manifest says what classes they had
    np.save(folder / "targets.npy", np.concatenate([content.targets[every], unknown]))
    np.save(folder / "digests.npy", np.concatenate([here.digests[every], earlier.digests[gone]]))
    np.save(folder / "files.npy", np.concatenate([here.files[every], earlier.files[gone]]))
    names = {content.keys[one]: _keys(content, rest) for one, rest in others.items()}
    copies = [_keys(content, group) for group in parts.copies]
    inside = {key for group in copies for key in group}
    return _write_index(folder, about | {
        "fingerprint": fingerprint.hexdigest()[:16],
        "unreadable": [*content.left_out, *_unreadable(content, here.readable, found.kind)],
        "notes": [*content.notes, *in_words(here.ranges)],
        "copies": [[name for key in group for name in (key, *names.get(key, ()))]
                   for group in copies]
        + [[key, *rest] for key, rest in names.items() if key not in inside],
        # Where all show the very same, they are told of as copies.
        "near_copies": [_keys(content, group) for group in near
                        if len(set(here.digests[group].tolist())) > 1],
        "other_names": names,
        "own_split": bool((content.in_test & (content.targets >= 0) & is_image).any()),
        "disputed": _keys(content, disputed),
        "differ": _keys(content, each.differ),
        "in_both": _keys(content, each.in_both),
        "former": [earlier.keys[row] for row in gone],
        "stamps": stamps,
        "has_files": content.at is not None,
        "ranges": here.ranges,
    })  # fmt: skip


def _decoded(
    out: Path, content: Content, image_size: int, stamps: Stamps, earlier: Earlier
) -> Work[_Rows]:
    """Decode to the file ``out`` what is not in ``earlier``."""
    known = earlier.reusable(content, stamps)
    is_new = np.ones(len(content.keys), dtype=np.bool_)
    is_new[[*known]] = False
    new = np.flatnonzero(is_new)
    pictures = content.pictures
    if known and content.at is not None:
        pictures = map(content.at, _keys(content, new))
    with out.open("wb") as raw:
        decoded = yield from decode_all(pictures, len(new), image_size, raw)
    readable = np.ones(len(content.keys), dtype=np.bool_)
    digests, files = np.empty(len(readable), f"V{DIGEST}"), np.empty(len(readable), FILES)
    readable[new], digests[new], files[new] = decoded.readable, decoded.digests, decoded.files
    kept, taken = [*known], [*known.values()]
    digests[kept], files[kept] = earlier.digests[taken], earlier.files[taken]
    place = np.cumsum(is_new) - 1
    return _Rows(readable, digests, files, decoded.ranges, place, out, known, earlier)


def _keys(content: Content, rows: Iterable[int]) -> list[str]:
    return [content.keys[row] for row in rows]


def _unreadable(content: Content, readable: NDArray[np.bool_], kind: str) -> list[str]:
    """What could not be read; but not files that went while the others were read: they are as
    missing as those that went before."""
    keys = _keys(content, np.flatnonzero(~readable))
    if kind != "folder" or content.at is None:
        return keys
    files = map(content.at, keys)
    return [
        key
        for key, file in zip(keys, files, strict=True)
        if not isinstance(file, Path) or os.path.lexists(file)
    ]


def _check(
    content: Content, readable: NDArray[np.bool_], train: NDArray[np.int64], where: str
) -> None:
    """Raise SourceError unless there is something to train on."""
    if not len(content.keys):
        raise SourceError(f"{where} holds no images.")
    if not len(train):
        raise SourceError(
            f"None of the training images of {where} can be read ({(~readable).sum()} are damaged)."
        )
    if name := content.only_class(train):
        raise SourceError(
            f"{where} holds images of one class only ({name}), and two are needed: to name the "
            "classes while labelling, put the images beside each other in one folder."
        )


def _header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Begin a .npy of uint8."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _copy_rows(
    rows: Iterable[NDArray[np.uint8]],
    count: int,
    file: BinaryIO,
    update: Callable[[bytes], None] = lambda _: None,
) -> Work[None]:
    """Append ``count`` rows of pixels to a file, and tell ``update`` of them."""
    began = time.monotonic()
    for done, row in enumerate(rows, start=1):
        pixels = row.tobytes()
        file.write(pixels)
        update(pixels)
        if done % ROWS == 0 or done == count:
            yield Progress("Storing", done, count, "images", time.monotonic() - began)


def _write_index(folder: Path, index: dict[str, Any]) -> dict[str, Any]:
    index |= {"files": _file_stamps(folder)}
    body = json.dumps(index)
    (folder / "index.json").write_text(f"{sha256(body)}\n{body}", "utf-8")
    return index


def valid_index(folder: Path) -> dict[str, Any] | None:
    """The index of a cached source; None where a file of it is missing or has changed."""
    try:
        digest, body = (folder / "index.json").read_text("utf-8").split("\n", 1)
        if digest != sha256(body):
            return None
        index: dict[str, Any] = json.loads(body)
        return index if index["files"] == _file_stamps(folder) else None
    except (OSError, ValueError, KeyError):
        return None


def _file_stamps(folder: Path) -> dict[str, list[int]]:
    names = ("images", "targets", "digests", "files")
    stats = {name: os.stat(folder / f"{name}.npy") for name in names}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


def sha256(text: str) -> str:
    """Of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
