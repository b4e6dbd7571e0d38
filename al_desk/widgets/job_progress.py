"""A running job: what it does, how far it is, its curves, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from al_core.jobs import Job, JobState, Worker
from al_core.progress import PretrainProgress, Progress, TrainingProgress, Work
from al_desk.server.resources import trainer
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import duration, plain, show_error, show_info


@dataclass(frozen=True, slots=True)
class Task:
    """Work that the page keeps running on the device, and what it says about it.

    ``stopped`` is shown once it was cancelled, with a button ``again``; once it has failed,
    ``mend`` draws what may help. In the ``background``, it lets all other work on the device go
    first.
    """

    key: str
    work: Callable[[], Work[Any]]
    title: str
    stopped: str
    again: str
    background: bool = False
    mend: Callable[[], None] = lambda: None


def under_way(worker: Worker, key: str) -> Job | None:
    """The job of a key while it goes on; ask before reading what it writes, or its end is missed.

    :func:`watch` draws the page again where the job has ended since.
    """
    job = worker.job(key)
    return job if job is not None and job.active else None


def watch(job: Job, title: str, worker: Worker | None = None, brief: bool = False) -> None:
    """Draw a job until it ends, then redraw the page; ``worker`` tells what it waits for.

    ``brief`` leaves out the curves and draws half as often: somebody is labelling meanwhile, and
    each drawing costs about as much as a label.
    """

    def cancel() -> str:
        job.cancel()
        return "Stopping as soon as the current step is done."

    seconds = 2.0 if brief else 1.0
    if not brief:
        redraw_at_end(job)
        st.subheader(plain(title), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.fragment(_draw_bar, run_every=seconds)(job, title if brief else "", worker)
        # Outside: Streamlit (1.67) drops a press in a fragment that the page drawn meanwhile lacks.
        button("Cancel", cancel, f"cancel-{job.key}", icon=":material/close:")
    if not brief:
        st.fragment(draw_training, run_every=seconds)(job)


@st.fragment(run_every=0.2)
def redraw_at_end(job: Job) -> None:
    """Redraw the page once a job has ended; soon, since somebody is waiting."""
    if not job.active:
        st.rerun()


def _draw_bar(job: Job, title: str, worker: Worker | None) -> None:
    if not job.active:
        st.rerun()
    progress = job.progress
    text = _in_words(progress)
    if job.state is JobState.WAITING and worker and worker.running:
        text = f"Waiting for another training. {_in_words(worker.running.progress)}"
    if title:
        text = f"{plain(title)}. {text}"
    st.progress(progress.fraction if progress else 0.0, text=text)


def keep_running(task: Task, brief: bool) -> None:
    """Run a task, show its progress, and redraw the page at its end.

    If it failed or was cancelled, it waits for a person to start it again.
    """
    key = task.key
    job = trainer().job(key) or trainer().submit(key, task.work, task.background)
    if job.active:
        watch(job, task.title, trainer(), brief)
        return
    if job.state is JobState.DONE:  # it ended after the log was read
        trainer().forget(key)
        st.rerun()
    if job.error:
        show_error(job.error)
    else:
        show_info(task.stopped)
    _notice_another(job)
    look = {"type": "primary", "icon": ":material/replay:"}
    button(task.again, lambda: trainer().forget(key), f"again-{key}", **look)
    if job.error:
        task.mend()


@st.fragment(run_every=2.0)
def _notice_another(job: Job) -> None:
    """Redraw the page once another tab has started the job again."""
    if trainer().job(job.key) is not job:
        st.rerun()


def _in_words(progress: Progress | None) -> str:
    if progress is None:
        return "Getting ready"
    words = progress.phase
    if isinstance(progress, PretrainProgress):
        words = f"{progress.fraction:.0%} done"
        if progress.neighbours is not None:
            words += f", nearest neighbours are right on {progress.neighbours:.0%} of the images"
    elif progress.unit == "bytes" and progress.total:
        words += f": {progress.done / 1e6:,.1f} of {progress.total / 1e6:,.1f} MB"
    elif progress.total:
        words += f": {progress.done:,.0f} of {progress.total:,.0f} {progress.unit}"
    elif progress.done:
        words += f": {progress.done:,.0f} {progress.unit}"
    left = progress.seconds_left
    if left is not None and left >= 1:
        words += f", about {duration(left)} left"
    return words


def draw_training(job: Job) -> None:
    """Loss and accuracy of the training that a job has reported, side by side."""
    learning = [r for r in job.reports if isinstance(r, PretrainProgress)]
    if learning:
        rows = [(report.epoch, report.loss, report.neighbours) for report in learning]
        whole = learning[-1].epoch / max(learning[-1].fraction, 0.01)
        draw_history(rows, whole, "Loss", "Right by neighbours")
    epochs = [r for r in job.reports if isinstance(r, TrainingProgress) and r.ends_epoch]
    if epochs:
        last = epochs[-1]
        history = [(report.epoch, report.loss, report.accuracy) for report in epochs]
        draw_history(history, last.epoch * last.total / last.done)


def draw_history(
    history: Sequence[Sequence[float | None]],
    epochs: float,
    loss: str = "Training loss",
    accuracy: str = "Training accuracy",
) -> None:
    """Loss and accuracy over the epochs; about 300 points, which is all that a screen shows."""
    # altair takes a while to import, and no batch should wait for it.
    from al_desk.widgets.charts import training_curve

    history = history[:: max(1, len(history) // 300)]
    left, right = st.columns(2)
    left.altair_chart(training_curve(history, "loss", epochs, loss))
    if any(row[2] is not None for row in history):
        right.altair_chart(training_curve(history, "accuracy", epochs, accuracy))
