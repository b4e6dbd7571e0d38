"""Background jobs: one at a time for each device, with progress and cancel."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from enum import StrEnum
from threading import Event, Lock
from typing import Any

from al_core.errors import ActiveLearningError
from al_core.progress import Progress, Work, finish


class JobState(StrEnum):
    """Where a job stands; the last three are ends."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """One piece of long work. Read from any thread; only the worker changes it.

    ``reports`` holds every report so far, the last one last; ``result`` is what the work returned,
    once done; ``error`` is a sentence, once failed.
    """

    def __init__(self, key: str, work: Callable[[], Work[Any]]) -> None:
        self.key = key
        self.state = JobState.WAITING
        self.reports: list[Progress] = []
        self.result: Any = None
        self.error: str | None = None
        self._ended = Event()
        self._work = work
        self._cancelled = False

    @property
    def progress(self) -> Progress | None:
        """The latest report."""
        return self.reports[-1] if self.reports else None

    @property
    def active(self) -> bool:
        """Whether the job still waits or runs."""
        return self.state in (JobState.WAITING, JobState.RUNNING)

    def cancel(self) -> None:
        """Ask the job to stop; it does at its next report."""
        self._cancelled = True

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it has come."""
        return self._ended.wait(seconds)

    def run(self) -> None:
        """Do the work; never raises."""
        self.state = JobState.RUNNING
        try:
            with closing(self._work()) as work:
                self.result = finish(work, self._note)
            state = JobState.DONE
        except _Cancelled:
            state = JobState.CANCELLED
        except ActiveLearningError as error:
            self.error, state = str(error), JobState.FAILED
        except Exception as error:
            traceback.print_exc()  # for whoever reads the server's output
            self.error = f"It failed unexpectedly ({type(error).__name__}: {error})."
            state = JobState.FAILED
        self.state = state
        self._ended.set()

    def _note(self, report: Progress) -> None:
        self.reports.append(report)
        if self._cancelled:
            raise _Cancelled


class _Cancelled(Exception):
    """Leaves the work where it stands."""


class Worker:
    """Runs jobs one after another in a thread of its own."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker")

    def job(self, key: str) -> Job | None:
        """The latest job of that key."""
        return self._jobs.get(key)

    def submit(self, key: str, work: Callable[[], Work[Any]]) -> Job:
        """Queue ``work`` under ``key``; the job that is active under that key, if there is one."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.active:
                job = self._jobs[key] = Job(key, work)
                self._thread.submit(job.run)
            return job

    def forget(self, key: str) -> None:
        """Drop what is known of an ended job."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and not job.active:
                del self._jobs[key]
