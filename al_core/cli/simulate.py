"""``python -m al_core simulate``: the loop with a simulated annotator, many times."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from al_core.analysis.chart_files import FORMATS, curves_chart, save_chart
from al_core.analysis.curves import bands, read_curves
from al_core.cli.options import engine_options
from al_core.cli.terminal import progress_bars
from al_core.config import WEIGHTS, ExperimentConfig, Head, ModelConfig, Stem, default_train
from al_core.errors import ConfigError
from al_core.files.atomic import whole_text
from al_core.files.csv_cells import write_row
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.progress import Progress, finish
from al_core.simulation.on_disk import Simulation
from al_core.simulation.runner import jobs_that_fit, run_all
from al_core.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from al_core.simulation.simulate import Row

WEIGHTS_HELP = f"{', '.join(WEIGHTS)}, or a .safetensors file of ResNet-18."


@click.command()
@click.option("--data", required=True, help="cifar10, digits, or a path to images.")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    default=("least_confidence",),
    show_default=True,
    help=f"Repeatable; one of {', '.join(STRATEGIES)}.",
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
    help="Simulations side by side, at most  [default: as many as machine or cluster carry]",
)
@engine_options("each simulation is a task of a cluster.")
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
    engine: str,
    address: str | None,
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
    # Embeddings take the place of weights and the features by them.
    model = (
        ModelConfig(weights, stem, head)
        if embeddings is None
        else ModelConfig(head=head, embeddings=str(embeddings.absolute()))
    )
    train = default_train(data)
    train = replace(
        train,
        epochs=train.epochs if epochs is None else epochs,
        min_steps=train.min_steps if min_steps is None else min_steps,
    )
    # Settings are checked before images are loaded: a typo should not cost a minute.
    simulations = [
        Simulation(
            ExperimentConfig(
                data=data, strategy=strategy, start=start, initial=initial, per_round=per_round,
                rounds=rounds, model=model, train=train, seed=seed,
            ),
            annotator,
        )
        # Seed by seed, so that a stopped run has compared all strategies on some seeds.
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
    from al_core.simulation.simulate import find_annotator  # with torch, which takes two seconds

    find_annotator(annotator, dataset)
    if embeddings is not None:
        from al_core.features.read import read_features

        read_features(embeddings, dataset)

    rows: list[tuple[Row, Simulation]] = []

    def place(row: tuple[Row, Simulation]) -> tuple[int, int, int]:
        return strategies.index(row[0].strategy), seeds.index(row[0].seed), row[0].round

    try:
        with progress_bars("") as show:
            for report in _reports(simulations, jobs, engine, address):
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


def _reports(
    simulations: Sequence[Simulation], jobs: int | None, engine: str, address: str | None
) -> Iterator[Progress | Row]:
    if engine == "ray":
        from al_core.distributed.simulate import simulate_on_ray

        return simulate_on_ray(simulations, jobs, address)
    return run_all(simulations, jobs or jobs_that_fit(len(simulations)))


def _write_table(out: Path, rows: Sequence[tuple[Row, Simulation]]) -> None:
    """All rows so far, whole or not at all."""
    with whole_text(out) as file:
        first, simulation = rows[0]
        write_row(file, [*asdict(first), *simulation.settings])
        for row, simulation in rows:
            write_row(file, [*asdict(row).values(), *simulation.settings.values()])


def _sentence(row: Row) -> str:
    accuracy = "no test set" if row.test_accuracy is None else f"{row.test_accuracy:.1%} on test"
    return (
        f"{row.strategy}, seed {row.seed}, round {row.round}: {row.labeled:,} labelled, {accuracy}"
    )
