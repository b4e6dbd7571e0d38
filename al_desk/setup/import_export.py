"""What goes out of an experiment and what comes in: labels, images by class, predictions."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from al_core.analysis.classes import some
from al_core.exchange.images import export_folders, export_parquet
from al_core.exchange.labels import (
    MOST_PROBLEMS,
    LabelTable,
    export_labels,
    export_predictions,
    import_labels,
    read_labels,
)
from al_core.experiment.class_acts import add, change_classes
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.pool import without
from al_core.images.dataset import Dataset, has_files
from al_core.jobs import JobState, Worker
from al_core.names import counted
from al_core.progress import Work
from al_core.store.store import Store
from al_desk.context import DeskContext
from al_desk.server.resources import loader, trainer
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import errors_shown, plain, show_error
from al_desk.widgets.job_progress import watch

TABLE = "imported-table"  # session state: the uploaded table, matched to the images


@dataclass(frozen=True, slots=True)
class Export:
    """A file that is made on request: its button, what follows the experiment's name in its file
    name, the work of making it, and ``how`` it is made, by which two files of a button differ."""

    label: str
    note: str
    suffix: str
    worker: Worker
    make: Callable[[Experiment, Dataset], Work[str | bytes]]
    how: str = ""


def export_and_import(store: Store, experiment: Experiment, context: DeskContext | None) -> None:
    """The labels can be downloaded at any time; everything else needs the images."""

    def labels() -> str:
        # Read when clicked: a label redraws only the grid, so this button may be older than it.
        file = io.StringIO()
        export_labels(open_experiment(store, experiment.id), file)
        return file.getvalue()

    st.subheader("Export and import", anchor=False)
    with st.container(horizontal=True):
        st.download_button(
            "Download labels",
            labels,
            f"{experiment.name}.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="CSV: the last label of each image; it is empty for a skipped image.",
        )
        if context is not None:
            kept = f"keep-metadata-{experiment.id}"
            for export in _exports(experiment, bool(st.session_state.get(kept))):
                _made_on_request(context, export)
            with st.popover("Import labels", icon=":material/upload:"):
                _import(context)
    if context is not None and has_files(context.dataset):
        st.checkbox(
            "Keep what cameras wrote (place, time, serial numbers)",
            key=kept,
            help="In exported images. Without it their files are the same but for that.",
            on_change=st.rerun,
        )


def _exports(experiment: Experiment, keep_metadata: bool) -> list[Export]:
    folders, parquet = (
        partial(_file, partial(export, keep_metadata=keep_metadata))
        for export in (export_folders, export_parquet)
    )
    note, kept = "A zip file with one folder per class.", "kept" if keep_metadata else "left"
    exports = [
        Export("Images by class", note, ".zip", loader(), partial(folders, ".zip"), kept),
        Export("Hugging Face parquet", "Images and labels in one table.", ".parquet", loader(),
               partial(parquet, ".parquet"), kept),
    ]  # fmt: skip
    if experiment.rounds:
        number = experiment.next_round - 1
        note = f"CSV: the unlabelled images by round {number}'s model, probabilities calibrated."
        label, suffix = "Predictions for the rest", ", predictions.csv"
        exports.append(Export(label, note, suffix, trainer(), _predict_rest))
    return exports


def _file(
    export: Callable[..., Work[int]], suffix: str, experiment: Experiment, dataset: Dataset
) -> Work[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{suffix}"
        yield from export(experiment, dataset, path)
        return path.read_bytes()


def _predict_rest(experiment: Experiment, dataset: Dataset) -> Work[str]:
    """Let the latest network predict what nobody has labelled."""
    # Imported in the worker's thread, since torch takes seconds to import.
    from al_core.loop.advance import latest_predictions
    from al_core.models.hardware import find_hardware

    predictions = yield from latest_predictions(experiment, dataset, find_hardware())
    rest = without(experiment.pool.unlabeled, experiment.away)
    rest = rest[predictions.known_to(experiment)[rest]]  # others wait for the next round
    file = io.StringIO()
    keys = [dataset.train.keys[i] for i in rest.tolist()]
    export_predictions(keys, rest, predictions.probs[rest], experiment.config.class_names, file)
    return file.getvalue()


def _made_on_request(context: DeskContext, export: Export) -> None:
    """A button that has a file made, with its progress, and then offers it."""
    worker, experiment, label = export.worker, context.experiment, export.label
    name = f"experiment {experiment.id}, {label}, "

    def state(experiment: Experiment) -> str:
        rounds, answers = experiment.next_round, len(experiment.annotations)
        return f"{rounds} rounds, {answers} answers{export.how}"

    def make() -> None:
        worker.forget(name)  # the file that was made before is out of date
        key = name + state(context.reread())
        worker.submit(key, lambda: export.make(context.reread(), context.dataset))

    job = worker.job(name + state(experiment))
    if job is not None and job.active:
        watch(job, label, worker, brief=True)
    elif job is not None and job.state is JobState.DONE:
        st.download_button(
            f"Download {label[0].lower()}{label[1:]}",
            job.result,
            f"{experiment.name}{export.suffix}",
            icon=":material/download:",
            on_click="ignore",
            help=export.note,
        )
    else:
        button(label, make, icon=":material/inventory_2:", help=export.note)
        if job is not None and job.error:
            show_error(job.error)


@errors_shown()
def _import(context: DeskContext) -> None:
    """Read a table of labels, say which rows do not match, and import all of it or nothing."""
    file = st.file_uploader(
        "A CSV with the columns key and class_name",
        type=["csv", "tsv", "txt"],
        key=f"import-{context.experiment.id}",
        help="The key is the image's own name, as in the labels you download. An empty class means "
        "skipped. Either all rows are imported, or none.",
    )
    if file is None:
        return
    table = _read_once(file, context)
    if table.problems:
        show_error(f"Rows that cannot be matched: {len(table.problems):,}. Nothing was imported.")
        first = table.problems[:MOST_PROBLEMS]
        rows, reasons = zip(*first, strict=True)
        st.dataframe({"row": rows, "reason": reasons}, hide_index=True)
        if len(table.problems) > MOST_PROBLEMS:
            st.caption(f"The first {MOST_PROBLEMS:,} of them.")
        if table.new:

            def add_them() -> None:
                of = (context.store, context.experiment.id, context.annotator)
                change_classes(*of, add([*table.new]))

            st.write(f"No class is called {plain(some([*table.new]))}.")
            label = f"Add {counted(len(table.new), 'class', 'classes')}"
            button(label, add_them, "add-classes", icon=":material/add:")
        return

    def take_in() -> str:
        new = import_labels(
            context.store, context.reread(), table, context.dataset, context.annotator
        )
        return (
            f"{counted(new, 'label')} imported; "
            f"{counted(len(table.labels) - new, 'was', 'were')} there already."
        )

    button(f"Import {counted(len(table.labels), 'label')}", take_in, type="primary")


def _read_once(file: Any, context: DeskContext) -> LabelTable:
    """A million rows take a second or two, and each click redraws the page."""
    experiment = context.experiment
    place = (experiment.id, file.file_id, len(experiment.class_changes))
    known: tuple[object, LabelTable] | None = st.session_state.get(TABLE)
    if known is None or known[0] != place:
        names = experiment.classes.numbers
        known = (
            place,
            read_labels(file.getvalue(), context.dataset, names, experiment.manifest),
        )
        st.session_state[TABLE] = known
    return known[1]
