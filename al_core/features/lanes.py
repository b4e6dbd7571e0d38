"""Work on a processor's cores, each of which goes its own way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

MOST = 16  # lanes: each needs memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_lanes(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result]]:
    """What ``work`` makes of each item, in their order, in a lane for each of torch's threads.

    Those that share a product wait for each other at its end, and for whatever else a core does,
    such as decoding pictures; in lanes nobody waits.
    """
    whole = torch.get_num_threads()
    count = min(whole, MOST)
    ahead: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(count, initializer=_use, initargs=(whole // count, whole)) as lanes:
        try:
            for item in items:
                ahead.append((item, lanes.submit(work, item)))
                if len(ahead) == 2 * count:
                    first, result = ahead.popleft()
                    yield first, result.result()
            for first, result in ahead:
                yield first, result.result()
        finally:
            lanes.shutdown(cancel_futures=True)


def _use(share: int, whole: int) -> None:
    """Has torch use a ``share`` of its threads in this one."""
    torch.get_num_threads()  # else a thread's first product sets what was set last, in any thread
    torch.set_num_threads(share)
    later = threading.Thread(target=torch.set_num_threads, args=(whole,))  # for those that begin
    later.start()
    later.join()
