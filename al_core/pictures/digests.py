"""Digests, by which pictures and images are known whatever their names are."""

from __future__ import annotations

import hashlib
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIGEST = 16  # bytes of the digest of an image's pixels, or of its file
# A picture as its source holds it: the digest of its bytes, its width and height in pixels, and the
# digest of what all of it shows, which stays the same when a rating is written into its file.
FILES = np.dtype(
    [("digest", f"V{DIGEST}"), ("width", "<u4"), ("height", "<u4"), ("shows", f"V{DIGEST}")]
)


def digest_of(content: bytes) -> bytes:
    """Identifies a file by its bytes, or an image at its size by its pixels [3,S,S]: BLAKE2b."""
    return blake2b(content, digest_size=DIGEST).digest()


def digest_of_file(path: Path) -> bytes:
    """The same of a file, of which a part at a time is in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: blake2b(digest_size=DIGEST)).digest()


def pixel_digests(images: NDArray[np.uint8]) -> NDArray[np.void]:
    """The digest of each of ``images`` uint8 [N,3,S,S], V16 [N]."""
    return np.frombuffer(b"".join(digest_of(one.tobytes()) for one in images), f"V{DIGEST}")
