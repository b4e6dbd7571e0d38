"""Work in lanes: in order, each by itself, and nobody else has fewer threads afterwards."""

import threading

import pytest
import torch

from al_core.features.lanes import in_lanes


@pytest.fixture
def threads() -> int:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


def test_results_come_in_order_and_lanes_use_one_thread_each(threads: int) -> None:
    together = threading.Barrier(threads)

    def work(number: int) -> tuple[int, int]:
        if number < threads:
            together.wait(10)
        torch.ones(99_999).sum()
        return number**2, torch.get_num_threads()

    assert [*in_lanes(work, range(20))] == [(n, (n**2, 1)) for n in range(20)]
    later: list[int] = []
    one = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    one.start()
    one.join()
    assert [torch.get_num_threads(), *later] == [threads, threads]


def test_what_goes_wrong_is_raised_and_nothing_is_begun_after_a_stop(threads: int) -> None:
    begun: list[int] = []
    results = in_lanes(begun.append, range(100))
    next(results)
    results.close()
    assert len(begun) <= 2 * threads
    with pytest.raises(ZeroDivisionError):
        [*in_lanes(lambda n: 1 // n, [1, 0])]
