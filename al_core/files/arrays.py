"""NumPy files, read with the care that untrusted files need."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from al_core.errors import ActiveLearningError


def read_array(path: Path, mode: Literal["r", "c"] = "r") -> NDArray[Any]:
    """The array in an ``.npy`` file, memory-mapped, so that a header that claims too much allocates
    nothing; to read, or to copy what is written. Raises OSError or ValueError where there is none.
    """
    with damage_as_value_error():
        with path.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":  # otherwise NumPy tries it as a pickle or a zip file
                raise ValueError("it is no .npy file")
        array: NDArray[Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
        return array


@contextmanager
def open_arrays(path: Path, names: Collection[str], most: int) -> Iterator[NpzFile]:
    """The arrays in an ``.npz`` file, of which ``names`` may be read: at most ``most`` bytes each,
    since a few MB may unpack to many GB. Raises OSError or ValueError for any damage."""
    with damage_as_value_error():
        with ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.removesuffix(".npy") in names and entry.file_size > most:
                    raise ValueError(f"“{entry.filename}” is too large for these images")
        with np.load(path, allow_pickle=False) as file:
            yield file


@contextmanager
def damage_as_value_error() -> Iterator[None]:
    """A damaged file raises nearly anything: BadZipFile, zlib.error, EOFError, MemoryError..."""
    try:
        yield
    except (OSError, ActiveLearningError):
        raise
    except Exception as error:
        text = str(error).strip() or type(error).__name__
        raise ValueError(text.splitlines()[0].rstrip(".")) from error
