"""What goes out of an experiment and what comes in: labels, images by class, opinions."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from al_core.errors import ActiveLearningError
from al_core.exchange.images import export_folders, export_parquet
from al_core.exchange.labels import (
    MOST_PROBLEMS,
    LabelTable,
    export_labels,
    export_predictions,
    import_labels,
    read_labels,
)
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.images.dataset import Dataset
from al_core.jobs import JobState, Worker
from al_core.progress import Work
from al_core.store.store import Store
from al_desk.server.resources import loader, trainer
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import plain
from al_desk.widgets.job_progress import watch

TABLE = "imported-table"  # session state: the table in the uploader, as it fits


def take_away(
    store: Store, experiment: Experiment, dataset: Dataset | None, annotator: str
) -> None:
    """The labels as a table at any time; the rest takes the images, or a round."""

    def labels() -> str:
        # Read at the click: labels redraw only the grid, and this button may be older than they.
        file = io.StringIO()
        export_labels(open_experiment(store, experiment.id), file)
        return file.getvalue()

    st.subheader("Take it away", anchor=False)
    with st.container(horizontal=True):
        st.download_button(
            "Download labels",
            labels,
            f"{experiment.name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="CSV: the last label of each image; a skipped image has an empty one.",
        )
        if dataset is not None:
            _images(store, experiment, dataset)
            if experiment.rounds:
                _predictions(store, experiment, dataset)
            with st.popover("Import labels", icon=":material/upload:"):
                _import(store, experiment, dataset, annotator)


def _images(store: Store, experiment: Experiment, dataset: Dataset) -> None:
    """The labelled images, in one of two forms."""
    forms = (
        (export_folders, "Images by class", "zip", "A zip file with one folder per class."),
        (export_parquet, "Hugging Face parquet", "parquet", "Images and labels in one table."),
    )
    for export, label, suffix, note in forms:

        def work(export: Callable[..., Work[int]] = export, suffix: str = suffix) -> Work[bytes]:
            return _file(store, experiment.id, dataset, export, suffix)

        file_name = f"{experiment.name}.{suffix}"
        _made_to_order(loader(), store, experiment, label, note, file_name, work)


def _file(
    store: Store,
    experiment_id: int,
    dataset: Dataset,
    export: Callable[..., Work[int]],
    suffix: str,
) -> Work[bytes]:
    experiment = open_experiment(store, experiment_id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels.{suffix}"
        yield from export(experiment, dataset, path)
        return path.read_bytes()


def _state(experiment: Experiment) -> str:
    """How far an experiment is, for the name of what is made of it."""
    return f"{experiment.next_round} rounds, {len(experiment.annotations)} answers"


def _made_to_order(
    worker: Worker,
    store: Store,
    experiment: Experiment,
    label: str,
    note: str,
    file_name: str,
    work: Callable[[], Work[str | bytes]],
) -> None:
    """A button that has a file made, with its progress, and then offers it."""
    name = f"experiment {experiment.id}, {label}, "
    job = worker.job(name + _state(experiment))
    if job is not None and job.active:
        watch(job, label, worker, brief=True)
    elif job is not None and job.state is JobState.DONE:
        st.download_button(
            f"Download {label[0].lower()}{label[1:]}",
            job.result,
            file_name,
            icon=":material/download:",
            on_click="ignore",
            help=note,
        )
    else:

        def make() -> None:
            worker.forget(name)  # the file that was made before, and is out of date
            worker.submit(name + _state(open_experiment(store, experiment.id)), work)

        button(label, make, icon=":material/inventory_2:", help=note)
        if job is not None and job.error:
            st.error(plain(job.error), icon=":material/error:")


def _predictions(store: Store, experiment: Experiment, dataset: Dataset) -> None:
    """Let the last network label what nobody has."""
    _made_to_order(
        trainer(),
        store,
        experiment,
        "Predictions for the rest",
        f"CSV: what the network of round {experiment.next_round - 1} says of each unlabelled "
        "image.",
        f"{experiment.name}, predictions.csv",
        lambda: _predict_rest(store, experiment.id, dataset),
    )


def _predict_rest(store: Store, experiment_id: int, dataset: Dataset) -> Work[str]:
    from al_core.loop.advance import latest_predictions
    from al_core.models.hardware import find_hardware

    experiment = open_experiment(store, experiment_id)
    said = yield from latest_predictions(experiment, dataset, find_hardware())
    rest = experiment.pool.unlabeled
    file = io.StringIO()
    keys = [dataset.train.keys[i] for i in rest.tolist()]
    export_predictions(keys, rest, said.probs[rest], experiment.config.class_names, file)
    return file.getvalue()


def _import(store: Store, experiment: Experiment, dataset: Dataset, annotator: str) -> None:
    """Read a table of labels, say what does not fit, and take all of it or nothing."""
    file = st.file_uploader(
        "A CSV with the columns key and class_name",
        type=["csv", "tsv", "txt"],
        key=f"import-{experiment.id}",
        help="The key is an image's own name, as in the labels you download. An empty class "
        "is a skip. All rows are taken, or none.",
    )
    if file is None:
        return
    try:
        table = _read_once(file, experiment, dataset)
    except ActiveLearningError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if table.problems:
        st.error(
            f"Rows that cannot be matched: {len(table.problems):,}. Nothing is imported.",
            icon=":material/error:",
        )
        first = table.problems[:MOST_PROBLEMS]
        st.dataframe(
            {"row": [row for row, _ in first], "reason": [why for _, why in first]},
            hide_index=True,
        )
        if len(table.problems) > MOST_PROBLEMS:
            st.caption(f"The first {MOST_PROBLEMS:,} of them.")
        return

    def take_in() -> str:
        now = open_experiment(store, experiment.id)
        new = import_labels(store, now, table, dataset, annotator)
        return f"{new:,} labels imported; {len(table.labels) - new:,} stood there already."

    button(f"Import {len(table.labels):,} labels", take_in, type="primary")


def _read_once(file: Any, experiment: Experiment, dataset: Dataset) -> LabelTable:
    """A million rows take a second or two, and each click draws the page again."""
    place = (experiment.id, file.file_id)
    known = st.session_state.get(TABLE)
    if known is None or known[0] != place:
        table = read_labels(file.getvalue(), dataset, experiment.config.class_names)
        known = st.session_state[TABLE] = (place, table)
    return known[1]
