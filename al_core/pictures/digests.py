"""Digests, by which pictures and images are known whatever their names are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

DIGEST = 16  # bytes of the digest of an image's pixels, or of its file
NOTHING = 2 * DIGEST * "0"  # the digits of one that is not known
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


def hexadecimal(digests: NDArray[np.void]) -> pa.StringArray:
    """Digests V16 [N] as hexadecimal digits, a PyArrow array. That of a picture that was not read,
    or that could not be, is all zeros, and is not known: ""."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = len(digests)
    ends = np.arange(0, 2 * DIGEST * (count + 1), 2 * DIGEST, dtype=np.int32)
    letters = digests.tobytes().hex().encode()
    texts = pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(letters))
    unknown = pc.equal(texts, NOTHING)
    return pc.if_else(unknown, "", texts) if pc.any(unknown).as_py() else texts


def digests_from(texts: Iterable[str]) -> NDArray[np.void]:
    """The digests V16 [N] of which these are the hexadecimal digits."""
    every = "".join(text or NOTHING for text in texts)
    return np.frombuffer(bytes.fromhex(every), f"V{DIGEST}")
