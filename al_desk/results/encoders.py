"""Which encoder: those whose embeddings are there, side by side, and switching to another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from al_core.analysis.comparison import LEVEL
from al_core.config import ExperimentConfig
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.images.dataset import Dataset
from al_core.loop.labels_so_far import labels_so_far
from al_core.models.metrics import MEASURES, estimate, within
from al_core.progress import Work
from al_core.store.store import Store
from al_desk.results.measures import INTERVALS
from al_desk.server.resources import loader
from al_desk.server.settings import save_settings
from al_desk.widgets.buttons import button
from al_desk.widgets.charts import encoders_chart
from al_desk.widgets.formatting import interval, plain, show_error, show_info
from al_desk.widgets.job_progress import under_way, watch

if TYPE_CHECKING:
    from al_core.loop.encoders_compared import EncodersCompared, Judged

OTHERS = (
    "For another encoder, choose it under *More settings*, *Weights to start from*: it looks at "
    "the images while you label, every label stays, and its embeddings are kept and compared here."
)
HOW = (
    "Each labelled image is answered once, by a linear head that has learned the other labels "
    "(five-fold cross-validation, the same folds for all, copies of an image in one). A strategy "
    "chose most of these images, and those are usually harder than the rest of the pool: this "
    "ranks encoders, and does not measure the model. Beside an encoder that knows words, its head "
    "counts them as rounds do; the class names alone have learned no label."
)
PAIRED = (
    "Intervals may overlap where encoders differ: they are told apart image by image, by a paired "
    "test with Holm's correction."
)


def show_encoders(store: Store, experiment: Experiment, dataset: Dataset | None) -> None:
    """The last comparison of encoders, and a button to compare them by the labels so far."""
    key = f"experiment {experiment.id}, comparing encoders"
    comparing, job = under_way(loader(), key), loader().job(key)
    found: EncodersCompared | None = job.result if job is not None else None
    if found is not None:
        _show(store, experiment, found)
    else:
        st.write(
            "Which encoder tells your classes apart best? All that have looked at the labelled "
            f"images are compared by your labels. {OTHERS}"
        )
    if comparing is not None:
        watch(comparing, "Comparing encoders", brief=True)
        return
    if dataset is None:
        return
    known = labels_so_far(experiment, dataset)
    if known.too_few:
        show_info(known.too_few)
        return

    def compare() -> None:
        loader().submit(key, lambda: _compare(store, experiment.id, dataset))

    again = f"Compare again, by {len(known.images):,} labels"
    button("Compare encoders" if found is None else again, compare, key, icon=":material/balance:")
    if job is not None and job.error:
        show_error(job.error)


def _compare(store: Store, experiment_id: int, dataset: Dataset) -> Work[EncodersCompared]:
    from al_core.loop.encoders_compared import compare_encoders
    from al_core.models.hardware import find_hardware

    experiment = open_experiment(store, experiment_id)
    return (yield from compare_encoders(experiment, dataset, find_hardware()))


def _show(store: Store, experiment: Experiment, found: EncodersCompared) -> None:
    st.markdown(f":material/balance: {in_words(found)}")
    if len(found.rows) > 1:
        rows = [(row.title, *_figures(row, found), found.images) for row in found.rows]
        table = pd.DataFrame(rows, columns=["encoder", "share", "low", "high", "images"])
        st.altair_chart(encoders_chart(table, MEASURES[found.measure]), key="encoders-chart")
    for row in found.rows:
        _offer(store, experiment, row, found)
    if found.partly:
        st.caption(plain(
            f"Left out, since not all of the labelled images were seen: {', '.join(found.partly)}."
        ))  # fmt: skip
    if found.rows:
        st.caption(f"{HOW} {INTERVALS[found.measure]} {PAIRED * (len(found.rows) > 1)}")


def in_words(found: EncodersCompared) -> str:
    """What came of a comparison, as Markdown."""
    if not found.rows:
        return f"No encoder has looked at all {found.images:,} labelled images yet. {OTHERS}"
    best, *others = found.rows
    value = f"{_figures(best, found)[0]:.1%} {within(found.measure)}"
    if not others:
        looked = f"alone has looked at all {found.images:,} labelled images"
        return f"**{plain(best.title)}** {looked}: {value}. {OTHERS}"
    said = f"**{plain(best.title)}** is first, with {value} on {found.images:,} labelled images."
    apart, rest = (
        [plain(one.title) for one in others if _is_apart(one) == is_real]
        for is_real in (True, False)
    )
    if apart:
        said += f" It is better than {_together(apart)}."
    if rest:
        said += f" These labels cannot tell it apart from {_together(rest)}."
    return said


def _is_apart(row: Judged) -> bool:
    """Whether chance is a poor explanation of how far it is from the first."""
    return row.p is not None and row.p < LEVEL


def _together(names: list[str]) -> str:
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def _figures(row: Judged, found: EncodersCompared) -> tuple[float, float, float]:
    shown = estimate(row.metrics, found.measure)
    return shown.value, shown.low, shown.high


def _offer(store: Store, experiment: Experiment, row: Judged, found: EncodersCompared) -> None:
    """A row in words, and the way to switch to its encoder."""
    from al_core.loop.encoders_compared import HEAD

    value, low, high = _figures(row, found)
    said = f"**{plain(row.title)}**: {value:.1%}, {interval(low, high)}"
    if row.p is not None:
        beside = "worse than" if _is_apart(row) else "not told apart from"
        said += f", {beside} the first (p {'< 0.001' if row.p < 0.001 else f'= {row.p:.2g}'})"

    def use() -> str:
        now = open_experiment(store, experiment.id).config
        chosen = {name: getattr(row.model, name) for name in CHOOSES}
        model = replace(now.model, head="linear", **chosen)
        wanted = replace(now, model=model, image_size=row.image_size)
        return save_settings(store, experiment.id, wanted)

    if row.method != HEAD:  # nothing to choose: its encoder has a row of its own
        st.markdown(f"{said}.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if _is_used(row, experiment.config):
            st.markdown(f"{said}. In use.")
        else:
            st.markdown(f"{said}.", width="content")
            button(f"Use {plain(row.title)}", use, f"use-{experiment.id}-{row.title}",
                   help="From the next training on. Every label stays.")  # fmt: skip


CHOOSES = ("weights", "architecture", "embeddings")  # an encoder, of the settings of a model


def _is_used(row: Judged, config: ExperimentConfig) -> bool:
    same = all(getattr(row.model, name) == getattr(config.model, name) for name in CHOOSES)
    return same and row.image_size == config.image_size
