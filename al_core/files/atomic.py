"""Files that are written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from al_core.errors import WeightsError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which appears at ``path`` once it is complete.

    Raises WeightsError if it cannot be written.
    """
    half = path.with_suffix(f".{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with half.open("wb") as file:
            yield file
        half.replace(path)
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be written ({error}); make room on the disk, or allow writing there, "
            "and try again."
        ) from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
