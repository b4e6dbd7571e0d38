"""Loss and accuracy of a training, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from al_core.jobs import Job
from al_core.progress import PretrainProgress, TrainingProgress


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
