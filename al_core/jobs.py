"""Background jobs, with progress and cancel: one at a time on a device, or side by side."""

from __future__ import annotations

import atexit
import ctypes
import itertools
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from enum import StrEnum
from queue import PriorityQueue
from threading import Event, Lock, Thread
from typing import Any
from weakref import WeakSet

from al_core.errors import ActiveLearningError, has_lost_the_gpu, is_lack_of_memory
from al_core.progress import Progress, Work, finish

LAST_SECONDS = 2  # how long the program waits for jobs when it ends
BRIEF = 1.0  # seconds; a job that took no longer has left little behind
MB = 1 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h has them


class JobState(StrEnum):
    """Where a job stands; the last three are ends."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """One piece of long work. Any thread may read it; only the worker changes it.

    ``reports`` holds the latest report, and the earlier ones to keep: a training makes thousands,
    and a server runs for months. After the end only the last remains. ``result`` is what the work
    returned, once done; ``error`` is a sentence, once failed.
    """

    def __init__(
        self, key: str, work: Callable[[], Work[Any]], meanwhile: Callable[[], None] | None = None
    ) -> None:
        self.key = key
        self.state = JobState.WAITING
        self.reports: list[Progress] = []
        self.result: Any = None
        self.error: str | None = None
        self._ended = Event()
        self._work = work
        self._meanwhile = meanwhile
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
        """Ask the job to stop: at once while it waits, else at its next report."""
        self._cancelled = True
        if self.state is JobState.WAITING:
            self.state = JobState.CANCELLED

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the end; whether it has come."""
        return self._ended.wait(seconds)

    def run(self) -> None:
        """Do the work, unless it was cancelled before its turn; never raises."""
        if not self._cancelled:
            self.state = JobState.RUNNING
            end = self._do()
            self.reports = self.reports[-1:]
            self.state = end
        # Let go of what the work held: a server remembers its jobs for as long as it runs.
        del self._work, self._meanwhile
        self._ended.set()

    def _do(self) -> JobState:
        try:
            with closing(self._work()) as work:
                self.result = finish(work, self._note)
            return JobState.DONE
        except _Cancelled:
            return JobState.CANCELLED
        except ActiveLearningError as error:
            self.error = str(error)
        except Exception as error:
            traceback.print_exc()  # for whoever reads the server's output
            self.error = _in_words(error)
        return JobState.FAILED

    def _note(self, report: Progress) -> None:
        if self.reports and not self.reports[-1].lasts:
            self.reports[-1] = report
        else:
            self.reports.append(report)
        if self._meanwhile is not None and not self._cancelled:
            self._meanwhile()
        if self._cancelled:
            raise _Cancelled


def _in_words(error: Exception) -> str:
    """The sentence for an unforeseen error."""
    if is_lack_of_memory(error):
        return "There is not enough memory for it: close other programs, or take smaller images."
    if has_lost_the_gpu(error):
        return "The GPU has stopped, and this server cannot use it again: start the server anew."
    return f"It failed unexpectedly ({type(error).__name__}: {error})."


def _give_memory_back() -> None:
    """Return free memory to the system, which glibc keeps: half a gigabyte after some rounds.
    Called by the thread that did the work.

    A thread allocates from one of up to eight heaps per core, and malloc_trim leaves up to 64 MB
    free at the top of each. That is returned when the thread frees something while the trim
    threshold is low. Otherwise each heap keeps what its largest job left there: 15 MB after a map
    of the digits, and again whenever the next thread got another heap.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library or system
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        libc.mallopt(M_MMAP_THRESHOLD, 32 * MB)  # where glibc's own ends up during a training
        libc.mallopt(M_TRIM_THRESHOLD, MB // 8)
        libc.free(libc.malloc(MB))
        libc.mallopt(M_TRIM_THRESHOLD, 64 * MB)
        libc.malloc_trim(0)
    cuda = getattr(sys.modules.get("torch"), "cuda", None)  # torch may be half imported
    if cuda is not None and cuda.is_initialized():
        with suppress(RuntimeError):  # a card that has stopped
            cuda.empty_cache()  # or an idle server withholds its peak from other programs


class _Cancelled(Exception):
    """Raised within the work to stop it where it is."""


_WORKERS: WeakSet[Worker] = WeakSet()


class Worker:
    """Runs jobs in threads that end with the program, however long the job would take.

    One after another where they share a device, or all at once with ``side_by_side``. A job in the
    ``background`` pauses between two of its reports while any other runs. ``afterwards`` is called
    in a job's thread when it has ended, unless it was BRIEF.
    """

    def __init__(
        self, side_by_side: bool = False, afterwards: Callable[[], None] = lambda: None
    ) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = Lock()
        self._side_by_side = side_by_side
        self._afterwards = afterwards
        self._waiting: PriorityQueue[tuple[bool, int, Job]] = PriorityQueue()
        self._count = itertools.count()
        _WORKERS.add(self)
        if not side_by_side:
            Thread(target=self._one_after_another, daemon=True).start()

    def job(self, key: str) -> Job | None:
        """The latest job of that key."""
        return self._jobs.get(key)

    @property
    def running(self) -> Job | None:
        """A job that is running now."""
        return next((job for job in self.active if job.state is JobState.RUNNING), None)

    def submit(self, key: str, work: Callable[[], Work[Any]], background: bool = False) -> Job:
        """Start or queue ``work`` under ``key``, unless a job of that key is active; return it."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.active:
                job = Job(key, work, self._let_others_first if background else None)
                self._jobs[key] = job
                if self._side_by_side:
                    Thread(target=self._run, args=(job,), daemon=True).start()
                else:
                    self._waiting.put((background, next(self._count), job))
            return job

    def cancel_all(self, prefix: str) -> None:
        """Cancel every job whose key begins with ``prefix``."""
        for key, job in list(self._jobs.items()):
            if key.startswith(prefix):
                job.cancel()

    def withdraw(self, key: str) -> None:
        """Cancel the job of that key and drop it at once; a new one may be submitted."""
        with self._lock:
            job = self._jobs.pop(key, None)
        if job is not None:
            job.cancel()

    def forget(self, prefix: str) -> None:
        """Drop the ended jobs whose key begins with ``prefix``."""
        with self._lock:
            for key, job in list(self._jobs.items()):
                if key.startswith(prefix) and not job.active:
                    del self._jobs[key]

    def ended(self, prefix: str) -> list[str]:
        """The keys of the ended jobs that begin with ``prefix``."""
        there = list(self._jobs.items())
        return [key for key, job in there if key.startswith(prefix) and not job.active]

    @property
    def active(self) -> list[Job]:
        """The jobs that are waiting or running."""
        return [job for job in list(self._jobs.values()) if job.active]

    def _one_after_another(self) -> None:
        while True:
            self._run(self._waiting.get()[2])

    def _run(self, job: Job) -> None:
        began = time.monotonic()
        job.run()
        if time.monotonic() - began > BRIEF:
            self._afterwards()
        _give_memory_back()

    def _let_others_first(self) -> None:
        """Run the waiting jobs, except those of the background."""
        while not self._waiting.empty():
            waiting = self._waiting.get()  # no other thread takes from the queue
            if waiting[0]:
                self._waiting.put(waiting)
                return
            self._run(waiting[2])


@atexit.register
def _end() -> None:
    """Cancel all jobs, and wait a moment for their next report: a thread still inside torch would
    abort the program as it ends."""
    jobs = [job for worker in _WORKERS for job in worker.active]
    for job in jobs:
        job.cancel()
    deadline = time.monotonic() + LAST_SECONDS
    for job in jobs:
        job.wait(deadline - time.monotonic())
