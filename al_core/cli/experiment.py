"""``export``, ``import``, ``move``, ``replay``: what a command does with an experiment."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from al_core.cli import options
from al_core.cli.options import FILE, FILE_OR_FOLDER, option, required
from al_core.cli.terminal import run_shown, say
from al_core.exchange.images import export_folders, export_parquet
from al_core.exchange.labels import MOST_PROBLEMS, export_labels, import_labels, read_labels
from al_core.experiment.class_acts import add, change_classes
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.moved import move as move_to
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.files.atomic import check_writable, whole_text
from al_core.files.paths import located
from al_core.images.dataset import Dataset
from al_core.names import counted
from al_core.store.records import annotator_name
from al_core.store.store import Store


@click.command()
@options.experiment
@option(
    "--as",
    "form",
    type=click.Choice(["csv", "folders", "parquet"]),
    default="csv",
    help="A table of labels; the images, one folder per class; the images as Hugging Face parquet.",
)
@required(
    "--out", type=FILE_OR_FOLDER, help="What to write; for folders a new folder, or a zip file."
)
@click.option(
    "--keep-metadata",
    is_flag=True,
    help="Leave in pictures what cameras wrote there: place, time, serial numbers.",
)
def export(name: str, form: str, out: Path, keep_metadata: bool) -> None:
    """Write an experiment's labels, the last label of each image."""
    store = Store()
    experiment = open_experiment(store, name)
    if form == "folders" and out.suffix.lower() != ".zip":
        check_writable(out, folder=True)
    else:
        options.check_outputs([out], [Path(experiment.config.data)])
    if form == "csv":
        with whole_text(out) as file:
            rows = export_labels(experiment, file)
    else:
        write = export_folders if form == "folders" else export_parquet
        work = write(*_opened(store, name), out, keep_metadata)
        rows = run_shown(work, "Stopped; nothing was written.")
    say(f"{counted(rows, 'image')} written to {out}.", out)


@click.command("import")
@options.experiment
@required("--labels", type=FILE, help="A CSV with the columns key and class_name.")
@option("--annotator", default="me", help="Written beside each label.")
@click.option("--add-classes", is_flag=True, help="Add classes for the names that none has.")
def import_table(name: str, labels: Path, annotator: str, add_classes: bool) -> None:
    """Read labels from a CSV: all of its rows, or none."""
    annotator = annotator_name(annotator)
    store = Store()
    experiment, dataset = _opened(store, name)
    known = experiment.classes.numbers
    table = read_labels(labels.read_bytes(), dataset, known, experiment.manifest)
    if table.new and add_classes:
        known = change_classes(store, experiment.id, annotator, add([*table.new])).numbers
        table = read_labels(labels.read_bytes(), dataset, known, experiment.manifest)
    elif table.new:
        click.echo(f"No class is called {', '.join(table.new)}: --add-classes adds them.", err=True)
    for row, reason in table.problems[:MOST_PROBLEMS]:
        click.echo(f"Row {row}: {reason}", file=sys.stderr)
    if more := len(table.problems[MOST_PROBLEMS:]):
        click.echo(f"And {more:,} more.", file=sys.stderr)
    new = import_labels(store, experiment, table, dataset, annotator)
    say(
        f"{counted(new, 'label')} imported; "
        f"{counted(len(table.labels) - new, 'was', 'were')} there already."
    )


@click.command()
@click.argument("experiment")
@click.argument("new_path")
def move(experiment: str, new_path: str) -> None:
    """Tell an experiment that its images are at NEW_PATH now, as where their folder was moved.

    At least half of them must be there, which is checked by what is in their files.
    """
    store = Store()
    opened = open_experiment(store, experiment)
    config = opened.config
    source = options.load_images_of(config, config.size_in_memory, moved_to=new_path)
    found = move_to(store, opened.id, source)
    say(f"The images of “{experiment}” are at {located(new_path)} now. {found}")


@click.command()
@options.experiment
@click.option("--threads", type=click.IntRange(min=1), help="To compute with  [default: torch's]")
def replay(name: str, threads: int | None) -> None:
    """Choose each batch of an experiment again from its log, and say how many images are the same.

    On the machine, with the threads and the versions it was labelled with, all are.
    """
    store = Store()
    experiment, dataset = _opened(store, name)
    import torch  # takes two seconds

    from al_core.loop.replay import in_words, summed_up
    from al_core.loop.replay import replay as choose_again
    from al_core.models.hardware import find_hardware

    if threads is not None:
        torch.set_num_threads(threads)
    hardware = find_hardware()
    work = choose_again(store, experiment.id, dataset, hardware)
    replayed = run_shown(work, "Stopped; nothing was changed.")
    for one in replayed:
        say(in_words(one))
    say(summed_up(replayed, hardware))


def _opened(store: Store, name: str) -> tuple[Experiment, Dataset]:
    """An experiment, and its images as they are now."""
    experiment = open_experiment(store, name)
    config = experiment.config
    positions = [one.log_position for one in experiment.batches]
    positions += [one.log_position for one in experiment.rounds]
    settings = [config.as_recorded(position.settings) for position in positions if position]
    size = max(one.size_in_memory for one in (config, *settings))  # a network saw them larger
    source = options.load_images_of(config, size)
    bring_up_to_date(store, experiment.id, source)
    experiment = open_experiment(store, name)
    return experiment, images_of(experiment, source)
