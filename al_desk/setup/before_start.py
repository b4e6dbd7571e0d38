"""What a round would cost, said before an experiment starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from al_core.config import LEARNED, ExperimentConfig, Stem
from al_core.jobs import JobState
from al_core.models.learned_weights import learned_path
from al_core.names import counted
from al_core.progress import Work
from al_desk.server.images import images_key
from al_desk.server.resources import loader
from al_desk.widgets.formatting import duration
from al_desk.widgets.job_progress import redraw_at_end

if TYPE_CHECKING:
    from al_core.loop.speed import Speed

SIZES = {"cifar10": 60_000, "digits": 1797}  # images, test images included
UNKNOWN = 10_000  # images, of a source that has not been read yet


def show_cost(config: ExperimentConfig) -> None:
    """A sentence on both ways to train, measured in the background once there is a choice."""
    stem, size = config.model.stem, config.size_in_memory
    if config.model.is_of_library:  # said already, or measured by nobody
        return
    if config.model.weights == "none":
        st.caption(
            "With weights to start from, perhaps learned from these images, a linear head can be "
            "trained on their features instead of the whole network: a round then takes about a "
            "second."
        )
        return
    key = f"speed of {stem} at {size}"
    job = loader().job(key) or loader().submit(key, lambda: _measure(stem, size))
    if job.active:
        redraw_at_end(job)
        st.caption("Measuring how long a round takes on this machine…")
    elif job.state is JobState.DONE:
        st.caption(_in_words(config, job.result))
    else:
        st.caption("How long a round takes could not be measured.")


def _in_words(config: ExperimentConfig, speed: Speed) -> str:
    images = SIZES.get(config.data, UNKNOWN)
    learning = ""
    if config.model.weights == LEARNED:
        minutes = config.model.learn_minutes
        learning = f"Learning features takes {minutes:,.0f} min, once for these images. "
        loading = loader().job(images_key(config))
        if loading and loading.result and learned_path(loading.result.fingerprint).exists():
            learning = "Features were learned from these images before, and are used again. "
    return (
        f"{learning}On this machine, with {counted(config.initial, 'label')} and "
        f"{counted(images, 'image')}: "
        f"fine-tuning takes about {duration(speed.of_fine_tuning(config, images))} a round. A "
        f"linear head takes {duration(speed.of_features(images))} once, for the features, and then "
        f"{duration(speed.of_head(config, images))} a round."
    )


def _measure(stem: Stem, image_size: int) -> Work[Speed]:
    from al_core.loop.speed import measure_speed
    from al_core.models.hardware import find_hardware

    return (yield from measure_speed(stem, image_size, find_hardware()))
