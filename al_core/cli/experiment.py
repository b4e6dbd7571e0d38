"""``export``, ``import``, ``replay``: what a command does with an experiment."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from al_core.cli import options
from al_core.cli.options import FILE, FILE_OR_FOLDER, option, required
from al_core.cli.terminal import run_shown, say
from al_core.exchange.images import export_folders, export_parquet
from al_core.exchange.labels import MOST_PROBLEMS, export_labels, import_labels, read_labels
from al_core.experiment.experiment import Experiment, check_images, open_experiment
from al_core.files.atomic import check_writable, whole_text
from al_core.images.dataset import Dataset
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
def export(name: str, form: str, out: Path) -> None:
    """Write an experiment's labels, the last label of each image."""
    experiment = open_experiment(Store(), name)
    if form == "folders" and out.suffix.lower() != ".zip":
        check_writable(out, folder=True)
    else:
        options.check_outputs([out], [Path(experiment.config.data)])
    if form == "csv":
        with whole_text(out) as file:
            rows = export_labels(experiment, file)
    else:
        write = export_folders if form == "folders" else export_parquet
        work = write(experiment, _images_of(experiment), out)
        rows = run_shown(work, "Stopped; nothing was written.")
    say(f"{rows:,} images written to {out}.", out)


@click.command("import")
@options.experiment
@required("--labels", type=FILE, help="A CSV with the columns key and class_name.")
@option("--annotator", default="me", help="Written beside each label.")
def import_table(name: str, labels: Path, annotator: str) -> None:
    """Read labels from a CSV: all of its rows, or none."""
    annotator = annotator_name(annotator)
    store = Store()
    experiment = open_experiment(store, name)
    dataset = _images_of(experiment)
    table = read_labels(labels.read_bytes(), dataset, experiment.config.class_names)
    for row, reason in table.problems[:MOST_PROBLEMS]:
        click.echo(f"Row {row}: {reason}", file=sys.stderr)
    if more := len(table.problems[MOST_PROBLEMS:]):
        click.echo(f"And {more:,} more.", file=sys.stderr)
    new = import_labels(store, experiment, table, dataset, annotator)
    say(f"{new:,} labels imported; {len(table.labels) - new:,} were there already.")


@click.command()
@options.experiment
@click.option("--threads", type=click.IntRange(min=1), help="To compute with  [default: torch's]")
def replay(name: str, threads: int | None) -> None:
    """Choose each batch of an experiment again from its log, and say how many images are the same.

    On the machine, with the threads and the versions it was labelled with, all are.
    """
    store = Store()
    experiment = open_experiment(store, name)
    dataset = _images_of(experiment)
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


def _images_of(experiment: Experiment) -> Dataset:
    """The images of an experiment, once checked to be those it was started on."""
    dataset = options.load_images(experiment.config.data, experiment.config.image_size)
    check_images(experiment, dataset)
    return dataset
