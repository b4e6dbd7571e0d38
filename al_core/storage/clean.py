"""Removing what nobody uses, or what can be computed again, down to a limit.

Nothing goes that an experiment needs and that cannot be computed again: a cache may be the last to
hold a picture that somebody has labelled and then removed from its folder.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from al_core.errors import ConfigError
from al_core.files.atomic import remove
from al_core.files.locks import try_lock
from al_core.files.paths import home
from al_core.progress import Progress, Work
from al_core.storage.kept import CACHES, DOWNLOADS, IMAGES, WEIGHTS, Kept, Storage, look
from al_core.storage.sources import User, readable_now, users_of

if TYPE_CHECKING:
    from al_core.store.store import Store

GB = 1e9  # bytes
LIMIT = "AL_CACHE_GB"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed, in bytes, and what the caches take now."""

    removed: int
    left: int


def limit_in_bytes() -> float | None:
    """What caches may take, as ``$AL_CACHE_GB`` says; None for any size. Raises ConfigError for
    what is no number."""
    said = os.environ.get(LIMIT)
    if not said:
        return None
    try:
        most = float(said) * GB
        if not most >= 0:
            raise ValueError
    except ValueError as error:
        raise ConfigError(f"{LIMIT} must be a number of gigabytes, such as 20: {said}.") from error
    return most


def clean(store: Store, limit: float | None = None) -> Work[Cleaned]:
    """Remove what no experiment uses, also none that was deleted and can be restored; then of the
    caches, where they take more than ``limit`` bytes, what was not used for longest and can be
    computed again."""
    users = users_of(store)
    storage = yield from look(store, users)
    numbers = {one.id for gone in (False, True) for one in store.experiments(gone)}
    unused = [one for one in storage.kept if _is_unused(one, storage, numbers)]
    removed = yield from remove_kept(unused)
    going = set(unused)
    rest = [one for one in storage.kept if one.kind in CACHES and one not in going]
    left = sum(one.size for one in rest)
    if limit is not None and left > limit:
        again = yield from _again(users, rest)
        oldest: list[Kept] = []
        for one in sorted(again, key=lambda one: one.used_at):
            if left <= limit:
                break
            oldest.append(one)
            left -= one.size
        # Decoded images tell which pictures are there, and so what else can be computed again.
        removed += yield from remove_kept(sorted(oldest, key=lambda one: one.kind == IMAGES))
    after = yield from look(store, users)
    return Cleaned(removed, sum(map(after.size, CACHES)))


def _is_unused(one: Kept, storage: Storage, numbers: Container[int]) -> bool:
    """Whether nobody uses it; ``numbers`` of the experiments that there are by now."""
    if one.kind == WEIGHTS:
        return int(one.paths[0].name) not in numbers
    # Experiments of another database may have labels of pictures that are gone.
    return one.kind in CACHES and not one.users and not (storage.others and one.holds_gone)


def _again(users: Sequence[User], rest: list[Kept]) -> Work[list[Kept]]:
    """Those of the ``rest`` that can be computed again, from sources that are there now."""
    current, here = set[Path](), set[bytes]()
    for user in users:
        of_user = [one for one in rest if one.kind == IMAGES and user.number in one.users]
        folder, digests = yield from readable_now(user, [one.paths[0] for one in of_user])
        here |= digests
        current |= {folder} if folder else set()
    return [
        one
        for one in rest
        if one.kind != DOWNLOADS  # a computer alone does not get them again
        and (one.paths[0] in current if one.kind == IMAGES else one.digests <= here)
    ]


def remove_kept(going: Sequence[Kept]) -> Work[int]:
    """Remove what nobody writes just now, and what a killed program was removing; return how many
    bytes the first were."""
    removed, began, aside = 0, time.monotonic(), home() / "cache" / "removed"
    remove(aside)
    for done, one in enumerate(going):
        if done % 100 == 0:
            yield Progress("Removing", done, len(going), "files", time.monotonic() - began)
        is_locked = one.lock is not None and one.lock.parent.is_dir()
        lock = try_lock(one.lock) if one.lock is not None and is_locked else None
        if is_locked and lock is None:
            continue
        for path in one.paths:
            _remove_at_once(path, aside)
        if lock is not None:
            lock.release()
        removed += 0 if any(path.exists() for path in one.paths) else one.size
    return removed


def _remove_at_once(path: Path, aside: Path) -> None:
    """Remove a file, or a folder: whole, in the eyes of all who read it or look for it, since what
    would be left of one after a kill might not tell any more whose it is."""
    there = path
    if path.is_dir():
        with suppress(OSError):  # on another disk, or in use on Windows
            aside.mkdir(parents=True, exist_ok=True)
            there = path.rename(aside / secrets.token_hex(8))
    remove(there)
    with suppress(OSError):
        aside.rmdir()
