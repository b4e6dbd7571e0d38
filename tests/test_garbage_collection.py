"""What is in use is not looked at after each label, and what is not goes all the same."""

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from al_core.jobs import Worker
from al_core.progress import Progress, Work
from al_desk.server import garbage_collection


class Loop:
    """Something that only a collection frees."""

    def __init__(self) -> None:
        self.itself = self


class Clock:
    """As if each collection took as long as was said before."""

    def __init__(self) -> None:
        self.took, self.now, self.is_running = 1.0, 0.0, False

    def __call__(self) -> float:
        self.now += self.took * self.is_running
        self.is_running = not self.is_running
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(garbage_collection.time, "thread_time", clock)
    monkeypatch.setattr(garbage_collection, "_collections", garbage_collection._Collections())
    gc.disable()
    garbage_collection.keep_collections_short.__wrapped__()
    gc.collect()
    yield clock
    gc.callbacks.pop()
    gc.unfreeze()
    gc.enable()


def test_what_a_collection_found_in_use_is_looked_at_again_after_a_while(
    clock, monkeypatch
) -> None:
    loop = Loop()
    gone = weakref.ref(loop)
    clock.took = 0.1
    gc.collect()
    del loop
    gc.collect()
    assert gone() is not None
    monkeypatch.setattr(garbage_collection, "WHOLE", 0)
    gc.collect()
    assert gone() is None


def test_what_a_collection_found_in_use_is_looked_at_again_once_it_is_much(clock) -> None:
    loop = Loop()
    gone = weakref.ref(loop)
    clock.took = 0.6  # of the second that the first one took
    gc.collect()
    del loop
    gc.collect()
    assert gone() is not None
    gc.collect()
    assert gone() is None


def test_what_a_training_leaves_goes_at_its_end(clock, monkeypatch) -> None:
    monkeypatch.setattr("al_core.jobs.BRIEF", -1)
    loop = Loop()
    gone = weakref.ref(loop)

    def training() -> Work[None]:
        yield Progress("Training", 1, 1, "steps", 0)
        gc.collect()  # as after a label, meanwhile

    ended = threading.Semaphore(0)
    worker = Worker(afterwards=lambda: (garbage_collection.collect_all(), ended.release()))
    worker.submit("a", training)
    assert ended.acquire(timeout=60)
    del loop
    gc.collect()
    assert gone() is not None
    worker.submit("b", training)
    assert ended.acquire(timeout=60)
    assert gone() is None


def test_what_nobody_uses_goes_at_the_next_collection(clock) -> None:
    gone = weakref.ref(Loop())
    gc.collect()
    assert gone() is None


def test_nothing_is_frozen_by_short_collections(clock) -> None:
    frozen = gc.get_freeze_count()
    clock.took = garbage_collection.SHORT / 2
    loop = Loop()
    gc.collect()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None
    assert gc.get_freeze_count() <= frozen
