"""Background jobs: progress, results, failures, cancel."""

import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_core.errors import ConfigError
from al_core.jobs import JobState, Worker
from al_core.progress import Progress, TrainingProgress, Work


def counting(to: int) -> Work[str]:
    for i in range(to):
        yield Progress("Counting", i + 1, to, "numbers", 0.1)
    return "counted"


def test_a_job_reports_its_progress_and_keeps_its_result() -> None:
    job = Worker().submit("a", lambda: counting(3))
    assert job.wait(60)
    assert (job.state, job.result, job.progress.fraction) == (JobState.DONE, "counted", 1)


def test_a_job_keeps_the_reports_that_make_a_curve_and_the_last_and_once_ended_only_that() -> None:
    steps = [TrainingProgress("", i, 6, "steps", 1, i / 2, 0.5, 0.5, i % 2 == 0) for i in range(7)]
    reported, gate = threading.Event(), threading.Event()

    def training() -> Work[None]:
        yield from steps[:6]
        reported.set()
        gate.wait(60)
        yield steps[6]

    job = Worker().submit("a", training)
    assert reported.wait(60)
    assert [report.done for report in job.reports] == [0, 2, 4, 5]
    gate.set()
    assert job.wait(60)
    assert job.reports == [steps[6]]


def test_a_second_submission_joins_the_job_that_runs() -> None:
    worker, gate = Worker(), threading.Event()

    def waiting() -> Work[None]:
        gate.wait(60)
        yield Progress("Waiting", 1, 1, "", 0)

    first = worker.submit("round 1", waiting)
    assert worker.submit("round 1", waiting) is first
    gate.set()
    assert first.wait(60)
    assert worker.submit("round 1", waiting) is not first


def test_jobs_run_one_after_another() -> None:
    worker, running, most = Worker(), [], []

    def work(name: str) -> Iterator[Progress]:
        running.append(name)
        most.append(len(running))
        yield Progress("", 1, 1, "", 0)
        running.remove(name)

    jobs = [worker.submit(name, lambda name=name: work(name)) for name in "abc"]
    assert all(job.wait(60) for job in jobs)
    assert most == [1, 1, 1]


def test_a_cancelled_job_stops_at_its_next_report_and_cleans_up() -> None:
    started, cleaned = threading.Event(), threading.Event()

    def endless() -> Work[None]:
        try:
            while True:
                started.set()
                yield Progress("Working", 1, 0, "", 0)
        finally:
            cleaned.set()

    job = Worker().submit("a", endless)
    assert started.wait(60)
    job.cancel()
    assert job.wait(60)
    assert cleaned.is_set()
    assert job.state is JobState.CANCELLED


def test_a_withdrawn_job_makes_room_for_another_at_once() -> None:
    worker, started = Worker(), threading.Event()

    def endless() -> Work[None]:
        while True:
            started.set()
            yield Progress("Working", 1, 0, "", 0)

    first = worker.submit("a", endless)
    assert started.wait(60)
    worker.withdraw("a")
    again = worker.submit("a", lambda: counting(1))
    assert again is not first
    assert again.wait(60)
    assert (first.state, again.state) == (JobState.CANCELLED, JobState.DONE)


def test_a_foreseen_error_is_kept_as_its_sentence_and_the_worker_lives_on() -> None:
    def failing() -> Work[None]:
        yield Progress("", 0, 1, "", 0)
        raise ConfigError("The cat sat on the keyboard.")

    worker = Worker()
    job = worker.submit("a", failing)
    assert job.wait(60)
    assert (job.state, job.error) == (JobState.FAILED, "The cat sat on the keyboard.")
    assert worker.submit("a", lambda: counting(1)).wait(60)


def test_an_unforeseen_error_ends_the_job_in_a_sentence_too() -> None:
    def broken() -> Work[None]:
        yield Progress("", 0, 1, "", 0)
        raise ZeroDivisionError("by zero")

    job = Worker().submit("a", broken)
    assert job.wait(60)
    assert job.error == "It failed unexpectedly (ZeroDivisionError: by zero)."


def test_a_job_that_waits_is_cancelled_at_once_and_never_starts() -> None:
    worker, gate, started = Worker(), threading.Event(), []

    def waiting() -> Work[None]:
        gate.wait(60)
        yield Progress("", 1, 1, "", 0)

    def late() -> Work[None]:
        started.append(True)
        yield Progress("", 1, 1, "", 0)

    first, second = (
        worker.submit("experiment 1, a", waiting),
        worker.submit("experiment 2, a", late),
    )
    worker.cancel_all("experiment 2,")
    assert second.state is JobState.CANCELLED
    gate.set()
    assert first.wait(60)
    assert second.wait(60)
    assert (first.state, started) == (JobState.DONE, [])


def test_jobs_side_by_side_do_not_wait_for_each_other() -> None:
    worker, gate = Worker(side_by_side=True), threading.Event()

    def slow() -> Work[None]:
        gate.wait(60)
        yield Progress("", 1, 1, "", 0)

    first = worker.submit("slow", slow)
    assert worker.submit("quick", lambda: counting(1)).wait(60)
    assert first.active
    gate.set()


def test_a_program_ends_though_a_job_still_runs() -> None:
    code = (
        "import threading\n"
        "from al_core.jobs import Worker\n"
        "def endless():\n"
        "    threading.Event().wait()\n"
        "    yield\n"
        "Worker().submit('a', endless)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], timeout=120, check=True
    )


@pytest.mark.slow
def test_a_program_that_ends_in_the_middle_of_a_training_ends_well() -> None:
    """A thread that the end meets within torch would abort the program."""
    code = (
        "import time, torch\n"
        "from al_core.progress import Progress\n"
        "from al_core.jobs import Worker\n"
        "network = torch.nn.Conv2d(8, 64, 3)\n"
        "def train():\n"
        "    while True:\n"
        "        network(torch.rand(32, 8, 32, 32)).sum().backward()\n"
        "        yield Progress('', 0, 0, '', 0)\n"
        "job = Worker().submit('a', train)\n"
        "while job.progress is None: time.sleep(0.01)\n"  # the end meets a later step
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_ended_job_lets_go_of_what_it_worked_on() -> None:
    """A server remembers its jobs, and each may have been about a whole experiment."""
    images = Counting()
    gone = weakref.ref(images)
    job = Worker().submit("a", images.count)
    del images
    assert job.wait(60)
    assert gone() is None


class Counting:
    """Something that work is about."""

    def count(self) -> Work[None]:
        yield Progress("Counting", 1, 1, "numbers", 0)
