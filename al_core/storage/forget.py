"""Removing an experiment with all that is its own, so that nothing of it is left on the disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from al_core.errors import StoreUnavailable, UnknownExperiment
from al_core.files.locks import Lock, held, wait_for_lock
from al_core.progress import Progress, Work
from al_core.storage.clean import remove_kept
from al_core.storage.kept import BACKUPS, CACHES, LEARNED, SIMULATIONS, UPLOADS, WEIGHTS, Kept, look
from al_core.storage.sources import digests_in
from al_core.store.records import ExperimentRecord

if TYPE_CHECKING:
    from al_core.store.store import Store

OWN = (*CACHES, LEARNED, SIMULATIONS, UPLOADS, WEIGHTS)
AGAIN_S = 0.5  # seconds between two tries of a database that is busy
T = TypeVar("T")


def forget(store: Store, experiment_id: int) -> Work[int]:
    """Remove an experiment, deleted before or not: its rows in all tables, also in the backups
    beside the database; what was computed for it; and the uploads, simulations, thumbnails,
    features and decoded images that no other experiment uses. Return how many bytes of files that
    were. Pictures in a folder that somebody named stay.

    It is hidden at once. Stopped before the end, it goes on when it is called again. Waits while a
    server trains it, or has the database. Raises UnknownExperiment, and StoreError where a backup
    cannot be searched.
    """
    from al_core.store.erase import compact, erase, erase_in_backup  # with SQLAlchemy

    record = record_of(store, experiment_id)
    yield from _when_free(lambda: store.delete_experiment(experiment_id))
    lock: Lock = yield from wait_for_lock(lambda: store.try_lock(f"training-{experiment_id}"))
    with held(lock):
        storage = yield from look(store)
        backups = [one.paths[0] for one in storage.kept if one.kind == BACKUPS]
        for done, path in enumerate(backups):
            yield Progress("Looking through backups", done, len(backups), "files", 0)
            erase_in_backup(path, experiment_id, record.created_at)
        digests = digests_in(store, experiment_id)
        own = [one for one in storage.kept if _is_own(one, experiment_id, digests)]
        removed = yield from remove_kept(own)
        yield from _when_free(lambda: erase(store, experiment_id))
        yield from _when_free(lambda: compact(store))
    return removed


def record_of(store: Store, named: str | int) -> ExperimentRecord:
    """An experiment by its name, or by its number, as ``#3``: one that was deleted only where no
    other has its name. Raises UnknownExperiment."""
    there, deleted = store.experiments(), store.experiments(deleted=True)
    number = named if isinstance(named, int) else named[1:] if named[:1] == "#" else ""
    found = (
        [one for one in there if one.name == named]
        or [one for one in deleted if one.name == named]
        or [one for one in (*there, *deleted) if str(one.id) == str(number)]
    )
    if len(found) > 1:
        numbers = " or ".join(f"#{one.id}" for one in found)
        raise UnknownExperiment(
            f"{len(found)} experiments “{named}” were deleted: say {numbers} instead of the name."
        )
    return found[0] if found else store.experiment(named)  # which says what there is


def _is_own(one: Kept, experiment_id: int, digests: frozenset[bytes]) -> bool:
    """Whether nobody else uses it; of what nobody uses by its name, as caches of a folder that has
    moved, what tells of pictures of the experiment."""
    if one.kind not in OWN:
        return False
    return one.users == {experiment_id} or (not one.users and not digests.isdisjoint(one.digests))


def _when_free(act: Callable[[], T]) -> Work[T]:
    """``act`` as soon as the database allows."""
    began = time.monotonic()
    while True:
        try:
            return act()
        except StoreUnavailable as error:
            yield Progress(f"Waiting: {error}", 0, 0, "", time.monotonic() - began)
            time.sleep(AGAIN_S)
