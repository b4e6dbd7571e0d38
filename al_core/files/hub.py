"""A file of a model hub: from its own cache, or downloaded into it."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from al_core.errors import DownloadError
from al_core.progress import Progress, Work

TICK_S = 0.2
REACH_S = 5.0  # for a hub to answer at all; its own client would try for half a minute
WHAT_TO_SET = (
    "set HF_ENDPOINT to a mirror that can be reached, or HF_HOME to a folder that has them, or "
    "name a file of weights"
)


class NotThere(DownloadError):
    """The hub has no such file."""


def cached(repository: str, name: str) -> Path | None:
    """The file ``name`` of a repository in the hub's cache on this machine; None where it is not
    there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, name)
    return Path(found) if isinstance(found, str) else None


def check_can_be_had(repository: str, names: Sequence[str]) -> None:
    """Raise DownloadError, as :func:`fetched` does, unless one of the files ``names`` of a
    repository is in the cache, or the hub would give it; it is not downloaded."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    errors: list[Exception] = []
    for name in names:
        if cached(repository, name) is not None:
            return
        try:
            _check_reached()
            get_hf_file_metadata(hf_hub_url(repository, name), timeout=REACH_S)
            return
        except Exception as error:
            errors.append(error)
    raise _in_words(errors[0], repository, names[0])


def is_reached() -> bool:
    """Whether the hub answers at all."""
    with suppress(Exception):
        _check_reached()
        return True
    return False


def _check_reached() -> None:
    """Raise what the hub's client does where there is no answer: it would try for half a minute."""
    from huggingface_hub import constants, errors, get_session

    if constants.HF_HUB_OFFLINE:
        raise errors.OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    get_session().head(constants.ENDPOINT, timeout=REACH_S)


def fetched(repository: str, name: str) -> Work[Path]:
    """The file ``name`` of a repository, which is downloaded unless it was before.

    A connection that breaks is taken up where it was; stopped, the next call begins again, as the
    hub's client keeps no half of a file. Raises NotThere, and DownloadError, in a sentence that
    says what was tried and what can be set.
    """
    found = cached(repository, name)
    if found is not None:
        return found
    began, download = time.monotonic(), _Download(repository, name)
    try:
        while not download.over.wait(TICK_S):
            done, total = download.done, download.total
            title = f"Downloading {repository}"
            yield Progress(title, done, total, "bytes", time.monotonic() - began)
    finally:
        download.stopped = True
    if download.error is not None:
        raise _in_words(download.error, repository, name)
    assert download.path is not None
    return download.path


class _Stopped(Exception):
    """Nobody waits for the download any more."""


class _Download:
    """A download by the hub's own client, in a thread that ends by itself once it is stopped."""

    def __init__(self, repository: str, name: str) -> None:
        self.done, self.total = 0, 0
        self.path: Path | None = None
        self.error: Exception | None = None
        self.stopped, self.over = False, threading.Event()
        threading.Thread(target=self._work, args=(repository, name), daemon=True).start()

    def _work(self, repository: str, name: str) -> None:
        try:
            self.path = self._downloaded(repository, name)
        except Exception as error:
            self.error = error
        finally:
            self.over.set()

    def _downloaded(self, repository: str, name: str) -> Path:
        from huggingface_hub import hf_hub_download
        from tqdm.auto import tqdm

        _check_reached()
        download = self

        class Reported(tqdm):  # type: ignore[misc]
            """Tells the download how far it is, and draws nothing."""

            def __init__(self, *args: Any, **how: Any) -> None:
                how.pop("name", None)
                super().__init__(*args, **{**how, "disable": True})
                download.total = int(how.get("total") or 0)
                download.done = int(how.get("initial") or 0)

            def update(self, n: float | None = 1) -> bool | None:
                if download.stopped:
                    raise _Stopped
                download.done += int(n or 0)
                return None

        return Path(hf_hub_download(repository, name, tqdm_class=Reported))


def _in_words(error: Exception, repository: str, name: str) -> DownloadError:
    """An error of the hub's client in a sentence."""
    from huggingface_hub import constants, errors

    where = f"{repository} at {constants.ENDPOINT}"
    said = f"HTTP {error.response.status_code}" if isinstance(error, errors.HfHubHTTPError) else ""
    if isinstance(error, errors.GatedRepoError):
        return DownloadError(
            f"{where} is given only to those who have accepted its licence: do so on its page and "
            "set HF_TOKEN to your token, or choose another encoder."
        )
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return NotThere(f"{where} has no {name}.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return DownloadError(
            f"There is no {where}, or it is not for everybody: see that its name is right, or set "
            "HF_TOKEN to your token."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(
            f"{where} does not fit on the disk of {constants.HF_HOME}: make room there, or set "
            "HF_HOME to a folder on another disk."
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS):
        return DownloadError(
            f"{where} cannot be written to {constants.HF_HOME}: set HF_HOME to a folder where it "
            "can."
        )
    if constants.HF_HUB_OFFLINE:
        said = "HF_HUB_OFFLINE is set"
    return DownloadError(f"{where} cannot be downloaded ({said or 'no answer'}): {WHAT_TO_SET}.")
