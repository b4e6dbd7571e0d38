"""Background jobs: progress, results, failures, cancel."""

import threading
from collections.abc import Iterator

from al_core.errors import ConfigError
from al_core.progress import Progress, Work
from al_core.worker import JobState, Worker


def counting(to: int) -> Work[str]:
    for i in range(to):
        yield Progress("Counting", i + 1, to, "numbers", 0.1)
    return "counted"


def test_a_job_reports_its_progress_and_keeps_its_result() -> None:
    job = Worker().submit("a", lambda: counting(3))
    assert job.wait(5)
    assert (job.state, job.result, job.progress.fraction) == (JobState.DONE, "counted", 1)


def test_a_second_submission_joins_the_job_that_runs() -> None:
    worker, gate = Worker(), threading.Event()

    def waiting() -> Work[None]:
        gate.wait(5)
        yield Progress("Waiting", 1, 1, "", 0)

    first = worker.submit("round 1", waiting)
    assert worker.submit("round 1", waiting) is first
    gate.set()
    assert first.wait(5)
    assert worker.submit("round 1", waiting) is not first


def test_jobs_run_one_after_another() -> None:
    worker, running, most = Worker(), [], []

    def work(name: str) -> Iterator[Progress]:
        running.append(name)
        most.append(len(running))
        yield Progress("", 1, 1, "", 0)
        running.remove(name)

    jobs = [worker.submit(name, lambda name=name: work(name)) for name in "abc"]
    assert all(job.wait(5) for job in jobs)
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
    assert started.wait(5)
    job.cancel()
    assert job.wait(5)
    assert cleaned.is_set()
    assert job.state is JobState.CANCELLED


def test_a_foreseen_error_is_kept_as_its_sentence_and_the_worker_lives_on() -> None:
    def failing() -> Work[None]:
        yield Progress("", 0, 1, "", 0)
        raise ConfigError("The cat sat on the keyboard.")

    worker = Worker()
    job = worker.submit("a", failing)
    assert job.wait(5)
    assert (job.state, job.error) == (JobState.FAILED, "The cat sat on the keyboard.")
    assert worker.submit("a", lambda: counting(1)).wait(5)


def test_an_unforeseen_error_ends_the_job_in_a_sentence_too() -> None:
    def broken() -> Work[None]:
        yield Progress("", 0, 1, "", 0)
        raise ZeroDivisionError("by zero")

    job = Worker().submit("a", broken)
    assert job.wait(5)
    assert job.error == "It failed unexpectedly (ZeroDivisionError: by zero)."
