"""The command line: ``python -m al_core simulate``, ``embed``, ``export`` and ``import``."""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from al_core.annotators import find_annotator
from al_core.catalogue import CATALOGUE
from al_core.config import WEIGHTS, ExperimentConfig, Head, ModelConfig, Stem, default_train
from al_core.curves import bands, read_curves
from al_core.errors import ConfigError
from al_core.experiment import Experiment, check_images, open_experiment
from al_core.export import export_labels
from al_core.export_images import export_folders, export_parquet
from al_core.images import Dataset, load
from al_core.import_labels import import_labels, read_labels
from al_core.plot import FORMATS, curves_chart, save_chart
from al_core.progress import Progress, finish
from al_core.simulations import Simulation, jobs_that_fit, run_all
from al_core.store import Store, home
from al_core.terminal import SentenceGroup, progress_bars

if TYPE_CHECKING:
    from al_core.simulate import Row


WEIGHTS_HELP = f"{', '.join(WEIGHTS)}, or a .safetensors file of ResNet-18."


@click.group(cls=SentenceGroup)
def main() -> None:
    """Active learning on images: simulate experiments, take labels away, bring labels in."""


@main.command()
@click.option("--data", required=True, help="cifar10, digits, or a path to images.")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    default=("least_confidence",),
    show_default=True,
    help=f"Repeatable; one of {', '.join(CATALOGUE)}.",
)
@click.option(
    "--start",
    default="random",
    show_default=True,
    help="The strategy that chooses the initial images; one that needs no labels.",
)
@click.option("--initial", default=1000, show_default=True, help="Images labelled at the start.")
@click.option("--per-round", default=100, show_default=True, help="Images asked about a round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of labelling.")
@click.option("--epochs", type=int, help="Epochs of training  [default: as in the page]")
@click.option("--min-steps", type=int, help="Optimiser steps a training has at least.")
@click.option(
    "--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True, help="Repeatable."
)
@click.option("--weights", default="none", show_default=True, help=WEIGHTS_HELP)
@click.option("--stem", type=click.Choice(get_args(Stem)), default="auto", show_default=True)
@click.option(
    "--head",
    type=click.Choice(get_args(Head)),
    default="fine-tune",
    show_default=True,
    help="Train the network, or a linear head on --embeddings or the features of --weights.",
)
@click.option(
    "--embeddings",
    type=click.Path(path_type=Path),
    help="An .npz file with the arrays train and test, a row for each image, or what embed writes.",
)
@click.option(
    "--annotator",
    default="truth",
    show_default=True,
    help="Who answers: truth, or FILE.npz:COLUMN for labels that people gave.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Simulations side by side  [default: as many as the machine carries]",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The CSV to write; a row is added as each round ends.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A picture of the curves to write, .svg or .png.",
)
def simulate(
    data: str,
    strategies: tuple[str, ...],
    start: str,
    initial: int,
    per_round: int,
    rounds: int,
    epochs: int | None,
    min_steps: int | None,
    seeds: tuple[int, ...],
    weights: str,
    stem: Stem,
    head: Head,
    embeddings: Path | None,
    annotator: str,
    jobs: int | None,
    out: Path,
    plot: Path | None,
) -> None:
    """Run the loop with a simulated annotator, for each strategy and seed.

    Several run side by side. Each round that ends is kept in $AL_HOME/simulations: stopped
    anywhere, the same command goes on from there, and a run that is known is not run again.
    """
    if embeddings is not None and head != "linear":
        raise ConfigError("On --embeddings only a linear head can be trained: add --head linear.")
    if embeddings is None and head == "linear" and weights == "none":
        raise ConfigError("A linear head needs --embeddings, or the --weights to compute them by.")
    # Embeddings take the place of weights and of what they see.
    model = ModelConfig(weights, stem, head) if embeddings is None else ModelConfig()
    train = default_train(data)
    train = replace(
        train,
        epochs=train.epochs if epochs is None else epochs,
        min_steps=train.min_steps if min_steps is None else min_steps,
    )
    # Settings are checked before images are loaded: a typing error should not cost a minute.
    simulations = [
        Simulation(
            ExperimentConfig(
                data=data, strategy=strategy, start=start, initial=initial, per_round=per_round,
                rounds=rounds, model=model, train=train, seed=seed,
            ),
            annotator,
            str(embeddings.absolute()) if embeddings else "",
        )
        # Seed by seed, so that what is stopped has compared the strategies on some of them.
        for seed, strategy in itertools.product(dict.fromkeys(seeds), dict.fromkeys(strategies))
    ]  # fmt: skip
    for path in filter(None, (out, plot)):
        if not path.parent.is_dir():
            raise ConfigError(f"There is no folder {path.parent} to write {path.name} to.")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise ConfigError(f"{path} cannot be written; name a file where writing is allowed.")
    if plot is not None and plot.suffix.lower() not in FORMATS:
        raise ConfigError(f"A picture is written as {' or '.join(FORMATS)}, not as {plot.name}.")
    with progress_bars("") as show:
        dataset = finish(load(data, cache_dir=home() / "cache"), show)
    for one in simulations:
        config = replace(one.config, class_names=dataset.train.class_names)
        config.check_against(len(dataset.train), dataset.has_truth)
    find_annotator(annotator, dataset)
    if embeddings is not None:
        from al_core.features import read_features  # with torch, which takes two seconds

        read_features(embeddings, dataset)

    rows: list[tuple[Row, Simulation]] = []

    def place(row: tuple[Row, Simulation]) -> tuple[int, int, int]:
        return strategies.index(row[0].strategy), seeds.index(row[0].seed), row[0].round

    try:
        with progress_bars("") as show:
            jobs = jobs or jobs_that_fit(len(simulations))
            for report in run_all(simulations, jobs):
                if isinstance(report, Progress):
                    show(report)
                    continue
                own = next(
                    one for one in simulations
                    if (one.config.strategy, one.config.seed) == (report.strategy, report.seed)
                )  # fmt: skip
                rows.append((report, own))
                _write_table(out, sorted(rows, key=place))
                click.echo(_sentence(report))
    except KeyboardInterrupt:
        raise click.ClickException("Stopped; the same command goes on from here.") from None
    if plot is not None:
        curves = read_curves(out.read_bytes(), out.name)
        save_chart(curves_chart(bands(curves, "labeled"), "Labelled images"), plot)


def _write_table(out: Path, rows: Sequence[tuple[Row, Simulation]]) -> None:
    """All rows so far, whole or not at all."""
    half = out.with_suffix(f"{out.suffix}.part")
    with half.open("w", newline="", encoding="utf-8") as file:
        first, simulation = rows[0]
        columns = [*asdict(first), *simulation.settings]
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) | simulation.settings for row, simulation in rows)
    half.replace(out)


@main.command()
@click.option("--data", required=True, help="cifar10, digits, or a path to images.")
@click.option("--weights", required=True, help=WEIGHTS_HELP)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="The folder to write train.npy and test.npy to.")  # fmt: skip
@click.option("--image-size", default=32, show_default=True, help="Images are brought to it.")
def embed(data: str, weights: str, out: Path, image_size: int) -> None:
    """Compute the features that weights see in all images, float16, a row for each.

    Stopped anywhere, the same command goes on from there.
    """
    from al_core.features import embed_into  # with torch, which takes two seconds

    try:
        with progress_bars("") as show:
            loading = load(data, image_size=image_size, cache_dir=home() / "cache")
            dataset = finish(loading, show)
            features = finish(embed_into(out, weights, dataset), show)
    except KeyboardInterrupt:
        raise click.ClickException("Stopped; the same command goes on from here.") from None
    n, width = features.train.shape
    click.echo(f"{n + len(features.test):,} images, {width} features each, written to {out}.")


@main.command()
@click.option("--experiment", "name", required=True, help="The experiment's name.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["csv", "folders", "parquet"]),
    default="csv",
    show_default=True,
    help="A table of labels; the images, one folder per class; the images as Hugging Face parquet.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="What to write; for folders a new folder, or a zip file.",
)
def export(name: str, form: str, out: Path) -> None:
    """Write an experiment's labels, the last label of each image."""
    experiment = open_experiment(Store(), name)
    if form == "csv":
        with out.open("w", newline="", encoding="utf-8") as file:
            rows = export_labels(experiment, file)
    else:
        write = export_folders if form == "folders" else export_parquet
        dataset = _images_of(experiment)
        with progress_bars("") as show:
            rows = finish(write(experiment, dataset, out), show)
    click.echo(f"{rows:,} images written to {out}.")


@main.command("import")
@click.option("--experiment", "name", required=True, help="The experiment's name.")
@click.option("--labels", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="A CSV with the columns key and class_name.")  # fmt: skip
@click.option("--annotator", default="me", show_default=True, help="Written beside each label.")
def import_table(name: str, labels: Path, annotator: str) -> None:
    """Read labels from a CSV: all of its rows, or none."""
    store = Store()
    experiment = open_experiment(store, name)
    dataset = _images_of(experiment)
    table = read_labels(labels.read_bytes(), dataset, experiment.config.class_names)
    for row, reason in table.problems:
        click.echo(f"Row {row}: {reason}", err=True)
    new = import_labels(store, experiment, table, dataset, annotator)
    click.echo(f"{new:,} labels imported; {len(table.labels) - new:,} stood there already.")


def _images_of(experiment: Experiment) -> Dataset:
    config = experiment.config
    with progress_bars("") as show:
        loading = load(config.data, image_size=config.image_size, cache_dir=home() / "cache")
        dataset = finish(loading, show)
    check_images(experiment, dataset)
    return dataset


def _sentence(row: Row) -> str:
    accuracy = "no test set" if row.test_accuracy is None else f"{row.test_accuracy:.1%} on test"
    return (
        f"{row.strategy}, seed {row.seed}, round {row.round}: {row.labeled:,} labelled, {accuracy}"
    )


if __name__ == "__main__":
    main(prog_name="python -m al_core")
