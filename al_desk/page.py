"""The page, top to bottom: choose an experiment, do what it waits for, look at the results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

import streamlit as st

from al_core.config import ExperimentConfig
from al_core.errors import ActiveLearningError, SourceError, StoreUnavailable
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.leases import close_round
from al_core.experiment.source import images_of as at_positions
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.outline import identify
from al_core.jobs import Job, JobState
from al_core.loop.measured_anew import measured_anew
from al_core.store.store import Store
from al_desk.context import DeskContext
from al_desk.labelling.accept import accept_guesses, leave_accept
from al_desk.labelling.find import find, leave_find
from al_desk.labelling.review import leave_review, review
from al_desk.labelling.workflow import train_and_label
from al_desk.results.headline import at_a_glance
from al_desk.results.random_baseline import keep_up
from al_desk.routes.link import link
from al_desk.server.images import (
    catch_up,
    let_go_of_other_reading,
    load_images,
    look_again,
    look_at,
    look_for_changes,
    open_embeddings,
    open_weights,
    outline_of,
)
from al_desk.server.resources import is_gone, loader, open_store, redraw_when_it_answers
from al_desk.setup.annotator import ask_name, is_let_in, welcome_back
from al_desk.setup.class_editor import class_editor
from al_desk.setup.image_news import image_news
from al_desk.setup.import_export import export_and_import
from al_desk.setup.labelling_settings import labelling_settings
from al_desk.setup.moved_source import offer_to_move
from al_desk.setup.new_experiment import new_experiment
from al_desk.setup.sidebar import (
    choose_experiment,
    is_open,
    say_who_deleted_it,
    show_experiment,
)
from al_desk.setup.storage import storage
from al_desk.widgets.buttons import button
from al_desk.widgets.formatting import errors_shown, plain, show_error, show_info
from al_desk.widgets.job_progress import watch

LISTING = 5.0  # seconds to wait for the list of images that a server has just begun to read


def command_line() -> argparse.Namespace:
    """The arguments after ``streamlit run streamlit_app.py --``."""
    # Lenient: a parser that gives up would end the script and leave the page blank.
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--data", nargs="?", help="cifar10, digits, or a path to images")
    return parser.parse_known_args(sys.argv[1:])[0]


@errors_shown()
def offer_new_experiment(store: Store, ask: Callable[[], object] | None) -> None:
    """The form; the experiment is started in the page, where there is room for progress."""
    started = new_experiment(store, command_line().data, ask)
    if started is not None:
        st.session_state["starting"] = started
        if outline_of(started[1]) is None:
            load_images(started[1], fresh=True)
        open_weights(started[1].model, started[1].image_size, fresh=True)


def start(store: Store, name: str, config: ExperimentConfig) -> None:
    """Open what an experiment needs, with progress bars, and write it to the log."""
    let_go_of_other_reading(config)
    begun = outline_of(config)
    for job, title in needed(config, begun):
        if job.active:
            watch(job, title)
            return
        if job.state is not JobState.DONE:
            loader().forget(job.key)  # it may be there the next time
            break
    del st.session_state["starting"]
    if job.state is JobState.DONE:
        with errors_shown():
            images = begun or load_images(config).result
            started = start_experiment(store, name, config, images)
            if begun is not None:
                load_images(config, fresh=True, wait=False)
            else:
                look_again()  # before the next one starts there
            show_experiment(started)
    elif job.error:
        show_error(job.error)
    else:
        show_info("Cancelled; nothing was started.")


def needed(config: ExperimentConfig, begun: Dataset | None) -> Iterator[tuple[Job, str]]:
    """The jobs that must end well before an experiment starts, each begun when it is asked for, and
    what they are called. Many images are read later, where their list is enough to begin with."""
    yield open_weights(config.model, config.image_size), "Opening the weights"
    if begun is not None:
        return
    images = load_images(config)
    yield images, f"Reading the images of “{config.data}”"
    if config.model.embeddings:
        yield open_embeddings(config, images.result), "Reading the embeddings"


def desk(store: Store, experiment_id: int, annotator: str, show_truth: bool) -> None:
    """One experiment: what it waits for at the top, its results below."""
    experiment = open_experiment(store, experiment_id)
    if experiment.phase is Phase.LABELLING and not experiment.is_untouched(experiment.next_round):
        close_round(store, experiment_id, experiment.next_round, is_gone)
        experiment = open_experiment(store, experiment_id)
    view = title_and_view(experiment.name, "Label", "Review", "Find", "Accept", "Compare")
    # Streamlit (1.67) knows a fragment by its place, and drops a press in one that has moved
    # meanwhile: what comes and goes above does not move these.
    glance, news, work, outcome = (st.container() for _ in range(4))
    with news:
        welcome_back(experiment, annotator)
        dataset = images_of(store, experiment)
        if dataset is not None:  # some may have come, or gone
            experiment = open_experiment(store, experiment_id)
    experiment = measured_anew(experiment, dataset)
    with glance:
        at_a_glance(experiment, dataset)
    with news:
        keep_up(experiment, dataset)
    context = None
    with work:
        there = begun(experiment) if dataset is None else dataset
        if there is not None:
            context = DeskContext(store, experiment, there, annotator, show_truth)
            if view == "Review":
                review(context)
            else:
                leave_review()
            if view == "Find":
                find(context)
            else:
                leave_find()
            if view == "Accept":
                accept_guesses(context)
            else:
                leave_accept()
            train_and_label(context, labelling=view == "Label")
    # Imported after the batch is drawn: altair takes as long as everything else together.
    from al_desk.results.compare import compare
    from al_desk.results.tabs import show_results

    with outcome:
        if view == "Compare":
            compare(store, experiment_id)
            return
        show_results(store, experiment, dataset)
        export_and_import(store, experiment, context if dataset is not None else None)


@errors_shown()
def begun(experiment: Experiment) -> Dataset | None:
    """The outline that an experiment was begun with, while its images are read and its first batch
    is labelled; else None."""
    manifest = experiment.manifest
    if not experiment.open_images or manifest is None or not manifest.is_outline:
        return None
    look_at(experiment.config.data, experiment.config.folders_are_classes).wait(LISTING)
    found = outline_of(experiment.config)
    if found is None or not load_images(experiment.config).active:
        return None
    if not manifest.pool.same("key", found.train.keys):
        return None  # it has changed meanwhile: what is where is known once all is read
    identify(found, {*experiment.open_images, *experiment.pool.answers})
    return found


def title_and_view(title: str, *views: str) -> str:
    """The title, and beside it the choice of what the page shows, which is kept in its address."""
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.title(plain(title), anchor=False, width="content")
        return st.segmented_control(
            "View",
            views,
            default=views[0],
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
            on_change=st.rerun,
        )


@errors_shown()
def images_of(store: Store, experiment: Experiment) -> Dataset | None:
    """The images of an experiment as they are now, or None after saying why they are missing; what
    has changed in their source is written to the log, and shown."""
    config = experiment.config
    job = load_images(config)
    if job.active:
        watch(job, f"Reading the images of “{config.data}”")
        return None
    if job.state is not JobState.DONE:
        if job.error:
            show_error(job.error)
            offer_to_move(store, experiment)
        else:
            show_info("Reading the images was cancelled.")
        button("Try again", lambda: loader().forget(job.key), icon=":material/refresh:")
        return None
    try:
        look_for_changes(store, experiment.id, job.result)
    except SourceError as error:
        show_error(error)
        offer_to_move(store, experiment)
        return None
    experiment = open_experiment(store, experiment.id)
    dataset = at_positions(experiment, job.result)
    catch_up(experiment, dataset)
    image_news(store, experiment, dataset)
    return dataset


def welcome(store: Store) -> None:
    """What this is, for somebody who has no experiment open; and what was measured so far."""
    if title_and_view("Active-learning desk", "Start", "Compare") == "Compare":
        from al_desk.results.compare import compare  # and altair with it

        compare(store, None)
        return
    st.write(
        "For many images and little patience: round by round, a network learns from your labels "
        "which images to ask you about next."
    )
    steps = (
        (":material/photo_library:", "Start", "Choose images in the sidebar and start."),
        (":material/keyboard:", "Label", "Type a digit for each image it asks about."),
        (":material/show_chart:", "Watch", "Hand in, and see how much better it has become."),
    )
    for column, (icon, title, text) in zip(st.columns(3), steps, strict=True):
        with column.container(border=True):
            st.markdown(f"#### {icon} {title}")
            st.write(text)


def page() -> None:
    """Draw the page once."""
    st.set_page_config(
        "Active-learning desk", ":material/grid_view:", layout="wide", initial_sidebar_state=340
    )
    # Streamlit's own download of a table could give a spreadsheet live formulas; see csv_cells.py.
    # What is open or pressed has a darker shade of the primary colour there, also on black.
    st.html(
        "<style>[data-testid=stElementToolbarButton]:has([aria-label^='Download as CSV'])"
        "{ display: none }"
        "button[kind=tertiary]:is(:active, [aria-expanded=true]) { color: inherit }"
        ".stMainBlockContainer { padding-top: 3rem }"
        "@media (max-width: 640px) { .stMainBlockContainer { padding-top: 4.5rem } }</style>"
    )
    if not is_let_in():
        return
    try:
        store = open_store()
        link()
        with st.sidebar:
            chooser, name = st.container(), st.container()
            annotator = ""
            if is_open(store):  # else the form asks
                with name:
                    annotator = ask_name()
            with chooser:
                experiment_id = choose_experiment(store, annotator)
            if experiment_id is not None:
                labelling_settings(store, experiment_id)
                class_editor(store, experiment_id, annotator)
            show_truth = st.toggle(
                "Show the truth", help="While labelling; for demonstrations.", on_change=st.rerun
            )
            new = st.expander(
                "New experiment",
                expanded=experiment_id is None,
                icon=":material/add:",
                key=f"new-{experiment_id is None}",
                on_change=st.rerun,
            )
            if new.open:  # while it is closed, its many fields need not be sent
                with new:
                    offer_new_experiment(store, ask_name if experiment_id is None else None)
            storage(store)
        if "starting" in st.session_state:
            start(store, *st.session_state["starting"])
        elif experiment_id is not None:
            desk(store, experiment_id, annotator, show_truth)
        if "starting" not in st.session_state and experiment_id is None:
            say_who_deleted_it(store)
            welcome(store)
    except ActiveLearningError as error:
        show_error(error)
        if isinstance(error, StoreUnavailable):
            redraw_when_it_answers()
