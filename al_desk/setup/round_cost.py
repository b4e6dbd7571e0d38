"""How long a round with the settings in the form would take on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from al_core.config import LEARNED, ExperimentConfig, Stem
from al_core.jobs import Job, JobState
from al_core.models.learned_weights import learned_path
from al_core.progress import Work
from al_desk.server.resources import images_key, loader
from al_desk.widgets.formatting import duration

if TYPE_CHECKING:
    from al_core.loop.speed import Speed

SIZES = {"cifar10": 60_000, "digits": 1797}  # images, test images included
UNKNOWN = 10_000  # images, of a source that has not been read yet


def show_cost(config: ExperimentConfig) -> None:
    """A sentence on both ways to train, measured in the background once there is a choice."""
    stem, size = config.model.stem, config.image_size
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
        _wait(job)
    elif job.state is JobState.DONE:
        st.caption(_in_words(config, job.result))
    else:
        st.caption("How long a round takes could not be measured.")


@st.fragment(run_every=1.0)
def _wait(job: Job) -> None:
    if not job.active:
        st.rerun()
    st.caption("Measuring how long a round takes on this machine…")


def _in_words(config: ExperimentConfig, speed: Speed) -> str:
    images = SIZES.get(config.data, UNKNOWN)
    learning = ""
    if config.model.weights == LEARNED:
        minutes = config.model.learn_minutes
        learning = f"Learning features takes {minutes:,.0f} min, once for these images. "
        loading = loader().job(images_key(config.data, config.image_size))
        if loading and loading.result and learned_path(loading.result.fingerprint).exists():
            learning = "Features were learned from these images before, and are used again. "
    return (
        f"{learning}On this machine, with {config.initial:,} labels and {images:,} images: "
        f"fine-tuning takes about {duration(speed.of_fine_tuning(config, images))} a round. A "
        f"linear head takes {duration(speed.of_features(images))} once, for the features, and then "
        f"{duration(speed.of_head(config, images))} a round."
    )


def _measure(stem: Stem, image_size: int) -> Work[Speed]:
    # Imported in the worker's thread, since torch takes seconds to import.
    from al_core.loop.speed import measure_speed
    from al_core.models.hardware import find_hardware

    return (yield from measure_speed(stem, image_size, find_hardware()))
