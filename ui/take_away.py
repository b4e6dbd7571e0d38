"""What an experiment gives away: the labels, and what its network says of the rest."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import streamlit as st

from al_core.experiment import Experiment, open_experiment
from al_core.export import export_labels, export_predictions
from al_core.images import Dataset
from al_core.progress import Work
from al_core.store import Store
from al_core.worker import JobState
from ui.resources import settle, trainer
from ui.text import plain
from ui.training import watch

if TYPE_CHECKING:
    from al_core.network import Hardware, Network


def take_away(store: Store, experiment: Experiment, dataset: Dataset | None) -> None:
    """Two tables to download; the second takes a network, thus a round, and the images."""

    def labels() -> str:
        # Read at the click: labels redraw only the grid, and this button may be older than they.
        file = io.StringIO()
        export_labels(open_experiment(store, experiment.id), file)
        return file.getvalue()

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
        if experiment.rounds and dataset is not None:
            _predictions(experiment, dataset)


def _predictions(experiment: Experiment, dataset: Dataset) -> None:
    """Let the last network label what nobody has."""
    number = len(experiment.rounds) - 1
    said = len(experiment.annotations)
    key = f"experiment {experiment.id}, predictions of round {number} after {said} answers"
    job = trainer().job(key)
    if job is not None and job.active:
        watch(job, "What the network says of the rest", trainer())
    elif job is not None and job.state is JobState.DONE:
        st.download_button(
            "Download predictions",
            job.result,
            f"{experiment.name}, predictions.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help=f"CSV: what the network of round {number} says of each unlabelled image.",
        )
    else:
        if st.button(
            "Predict the rest",
            icon=":material/auto_awesome:",
            help="What the latest network says of every unlabelled image, as CSV.",
        ):
            trainer().submit(key, lambda: _predict_rest(experiment, dataset, number))
            st.rerun()
        if job is not None and job.error:
            st.error(plain(job.error), icon=":material/error:")


def _predict_rest(experiment: Experiment, dataset: Dataset, number: int) -> Work[str]:
    from al_core.network import find_hardware
    from al_core.predict import for_inference, predict

    settle("torch")
    hardware = find_hardware()
    network = for_inference(_network(experiment.id, number, hardware), hardware)
    rest = experiment.pool.unlabeled
    said = yield from predict(network, dataset.train.images, rest, hardware, "Predicting")
    file = io.StringIO()
    export_predictions(
        [dataset.train.keys[i] for i in rest.tolist()],
        rest,
        said.probs.numpy(),
        experiment.config.class_names,
        file,
    )
    return file.getvalue()


@st.cache_resource(max_entries=2, show_spinner=False)
def _network(experiment_id: int, number: int, _hardware: Hardware) -> Network:
    """A round's network on its device, once per process, read from disk and not trained again."""
    from al_core.weights import load_network, weights_path

    return load_network(weights_path(experiment_id, number), _hardware)
