"""Download a file from the first of several mirrors that delivers it whole."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from al_core.errors import DownloadError
from al_core.files.atomic import PART, put_in_place, refusals
from al_core.files.locks import held, wait_for_lock
from al_core.progress import Progress, Work

if TYPE_CHECKING:
    import requests

CHUNK_BYTES = 1 << 16
TICK_S = 0.1
# A mirror is given up after SILENCE_S without a byte, or when it averages less than this over a
# window. One that crawls is worse than one that is down: CIFAR-10's official host once took
# 57 minutes for 162 MB, 47 kB/s (pytorch/vision#9536).
SILENCE_S = 10.0
WINDOW_S, LEAST_BYTES_PER_S = 20.0, 100_000.0


def download(
    urls: Sequence[str],
    target: Path,
    *,
    checksum: str,
    otherwise: str = "try again later",
) -> Work[None]:
    """Download the file that all of ``urls`` serve to ``target``, reporting bytes.

    What was received stays in ``target`` + ``.part``, a fixed name, so that the next mirror or the
    next call resumes it. ``target`` appears only whole, with the right ``checksum`` (see
    :func:`matches`); where it is so already, nothing is done. Raises DownloadError, ending in what
    to do ``otherwise``, when every mirror has failed, and FileNotWritten when the disk refuses.
    """
    part, locked = (target.with_name(f"{target.name}{end}") for end in (PART, ".lock"))
    problems = []
    with refusals(target), held((yield from wait_for_lock(locked))):
        if target.exists() and matches(target, checksum):
            return
        for url in urls:
            problem = yield from _from_mirror(url, part, checksum)
            if problem is None:
                put_in_place(part, target)
                return
            problems.append(f"{urlsplit(url).netloc or url}: {problem}")
    raise DownloadError(
        f"{target.name} could not be downloaded ({'; '.join(problems)}): {otherwise}."
    )


def matches(path: Path, checksum: str) -> bool:
    """Whether a file has ``checksum``: an algorithm, a colon, and its first hex digits."""
    algorithm, digits = checksum.split(":")
    with path.open("rb") as file:
        made = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return made.hexdigest().startswith(digits)


def _from_mirror(url: str, part: Path, checksum: str) -> Work[str | None]:
    """Complete ``part`` from ``url`` and check it; return what went wrong, or None."""
    continued = part.exists() and part.stat().st_size > 0
    problem = yield from _fetch(url, part)
    if problem is None and not matches(part, checksum):
        part.unlink()
        problem = "not the expected file"
        if continued:  # perhaps only the earlier bytes were wrong
            problem = yield from _from_mirror(url, part, checksum)
    return problem


_Item = tuple[int, int] | bytes | str
"""What a mirror sends: the byte it starts at and how many there are in all (0: unknown), then the
bytes, then what went wrong ("": nothing)."""


def _fetch(url: str, part: Path) -> Work[str | None]:
    """Append to ``part`` what ``url`` sends from its end on; return what went wrong, or None.

    A thread reads from the network. Otherwise a name that does not resolve, a handshake that hangs
    or a slow trickle of bytes could not be given up in time, or cancelled at once.
    """
    received: queue.Queue[_Item] = queue.Queue(maxsize=64)
    stopped = threading.Event()

    def put(item: _Item) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                received.put(item, timeout=TICK_S)
                return True
        return False

    began = window_began = time.monotonic()
    window_bytes = 0
    silent = 0.0
    try:
        with part.open("ab") as file:
            done, total = file.tell(), 0
            threading.Thread(target=_listen, args=(url, done, put), daemon=True).start()
            while True:
                try:
                    item = received.get(timeout=TICK_S)
                    silent = 0.0
                except queue.Empty:
                    item = b""
                    silent += TICK_S
                if isinstance(item, str):
                    return item or ("broke off" if 0 < done < total else None)
                if isinstance(item, bytes):
                    file.write(item)
                    done += len(item)
                    window_bytes += len(item)
                else:
                    start, total = item
                    if start != done:  # the mirror cannot resume: start over
                        file.truncate(0)
                        done = 0
                now = time.monotonic()
                if silent >= SILENCE_S:
                    return f"silent for {SILENCE_S:g} s"
                if now - window_began >= WINDOW_S:
                    if window_bytes < LEAST_BYTES_PER_S * (now - window_began):
                        return f"below {LEAST_BYTES_PER_S / 1000:g} kB/s"
                    window_began, window_bytes = now, 0
                yield Progress(f"Downloading {part.stem}", done, total, "bytes", now - began)
    finally:
        stopped.set()


def _listen(url: str, start: int, put: Callable[[_Item], bool]) -> None:
    """Put what ``url`` sends from byte ``start`` on, until all is sent or ``put`` returns False."""
    import requests

    # Without "identity" a server may compress the archive again, and offsets would mean nothing.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    problem = ""
    try:
        with requests.get(url, headers=headers, stream=True, timeout=SILENCE_S) as answer:
            if answer.status_code in (200, 206):
                put(_span(answer, start))
                for chunk in answer.raw.stream(CHUNK_BYTES, decode_content=False):
                    if not put(chunk):
                        return
            elif answer.status_code != 416:  # nothing after start: the file is complete already
                problem = f"status {answer.status_code}"
    except requests.Timeout:
        problem = "no answer"
    except requests.ConnectionError:
        problem = "no connection"
    except Exception as error:  # whatever ails this mirror, the next one is tried
        problem = f"broke off ({type(error).__name__})"
    put(problem)


def _span(answer: requests.Response, start: int) -> tuple[int, int]:
    """Read ``Content-Range: bytes 500-999/1000``; a plain 200 sends everything from the start."""
    length = int(answer.headers.get("Content-Length", 0))
    if answer.status_code == 200:
        return 0, length
    span, _, total = answer.headers["Content-Range"].removeprefix("bytes ").partition("/")
    sent_from = int(span.partition("-")[0])
    if sent_from not in (0, start):
        raise ValueError(f"asked for byte {start}, got byte {sent_from}")
    return sent_from, int(total) if total.isdigit() else sent_from + length
