"""A file of an encoder's weights: from a hub, told from others by its bytes, without NaN."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from torch import nn

from al_core.errors import DownloadError, WeightsError
from al_core.files.hub import NotThere, check_can_be_had, fetched
from al_core.pictures.square import scaling
from al_core.progress import Work


def downloaded(repository: str, names: Sequence[str]) -> Work[Path]:
    """The first of the files ``names`` that a repository has. Raises WeightsError where none can be
    had."""
    problems: list[DownloadError] = []
    for name in names:
        try:
            return (yield from fetched(repository, name))
        except NotThere as error:
            problems.append(error)
        except DownloadError as error:
            problems.insert(0, error)
            break
    raise WeightsError(f"The encoder cannot be had: {problems[0]}") from problems[0]


def check_download(repository: str, names: Sequence[str]) -> None:
    """Raise WeightsError as :func:`downloaded` does, without downloading anything."""
    try:
        check_can_be_had(repository, names)
    except DownloadError as error:
        raise WeightsError(f"The encoder cannot be had: {error}") from error


def digest_of(path: Path, about: tuple[object, ...]) -> str:
    """Tells a file's weights, and what else embeddings depend on, from all others; how pictures are
    scaled is a part of that. Raises WeightsError where there is no file."""
    if not path.is_file():
        raise WeightsError(f"There is no file of weights {path}.")
    stat = path.stat()
    whole = _of_bytes(path, stat.st_size, stat.st_mtime_ns) + repr((*about, scaling()[0])).encode()
    return blake2b(whole, digest_size=8).hexdigest()


@lru_cache(16)
def _of_bytes(path: Path, size: int, changed: int) -> bytes:
    """300 MB take a third of a second, so once for each state of the file."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.digest()


def check_finite(network: nn.Module, path: Path) -> None:
    """Raise WeightsError where what a file holds is no number."""
    for name, one in network.state_dict().items():
        if not one.isfinite().all():
            raise WeightsError(f"{path} cannot be used: its {name} has NaN or infinite values.")
