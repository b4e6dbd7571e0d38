"""``python -m al_core simulate``: the loop with a simulated annotator, many times."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import numpy as np

from al_core.analysis.chart_files import FORMATS, curves_chart, save_chart
from al_core.analysis.classes import unmeasured_in_words
from al_core.analysis.curves import bands, read_curves, title_of
from al_core.cli import options
from al_core.cli.options import FILE_OR_FOLDER, FILE_TO_WRITE, WEIGHTS_HELP, option, required
from al_core.cli.terminal import run_shown, say
from al_core.config import PROMPTS, ExperimentConfig, Head, ModelConfig, Stem, default_train
from al_core.errors import ConfigError
from al_core.features.read import read_features
from al_core.files.atomic import is_stream, whole_text
from al_core.files.csv_cells import write_row
from al_core.files.paths import located
from al_core.images.near_copies import leaking, measured
from al_core.images.survey import too_few_to_test
from al_core.models.metrics import leading_on
from al_core.progress import Progress, Work
from al_core.simulation.on_disk import Simulation
from al_core.simulation.runner import jobs_that_fit, run_all
from al_core.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from al_core.images.dataset import Dataset
    from al_core.simulation.simulate import Row


@click.command()
@options.data
@option(
    "--strategy",
    "strategies",
    multiple=True,
    default=("least_confidence",),
    help=f"Repeatable; one of {', '.join(STRATEGIES)}.",
)
@option(
    "--start",
    default="random",
    help="The strategy that chooses the initial images; one that needs no labels.",
)
@option("--initial", default=1000, help="Images labelled at the start.")
@option("--per-round", default=100, help="Images asked about a round.")
@option("--rounds", default=3, help="Rounds of labelling.")
@options.training
@options.image_size
@option("--seed", "seeds", multiple=True, type=int, default=(0,), help="Repeatable.")
@option("--weights", default="none", help=WEIGHTS_HELP)
@options.stem
@option(
    "--head",
    type=click.Choice(get_args(Head)),
    default="fine-tune",
    help="Train the network, or a linear head on --embeddings or the features of --weights.",
)
@option(
    "--prompt",
    "prompts",
    multiple=True,
    default=tuple(PROMPTS.splitlines()),
    help="What an encoder that knows words is told of each class, {} in place of its name; "
    "repeatable.",
)
@option(
    "--embeddings",
    type=FILE_OR_FOLDER,
    help="An .npz file with the arrays train and test, a row for each image, or what embed writes.",
)
@option(
    "--annotator",
    default="truth",
    help="Who answers: truth, or FILE.npz:COLUMN for labels that people gave.",
)
@option(
    "--jobs",
    type=click.IntRange(1),
    help="Simulations side by side, at most  [default: as many as machine or cluster carry]",
)
@option(
    "--copies-measure",
    is_flag=True,
    help="Test images measure, though they nearly show what a training image shows: as in figures "
    "that others have published.",
)
@options.engine("each simulation is a task of a cluster.")
@required("--out", type=FILE_TO_WRITE,
          help="The CSV to write; a row is added as each round ends.")  # fmt: skip
@option(
    "--plot",
    type=FILE_TO_WRITE,
    help="A picture of the curves to write, .svg or .png; they are of balanced accuracy where the "
    "classes are unequal.",
)
def simulate(
    data: str,
    strategies: tuple[str, ...],
    start: str,
    initial: int,
    per_round: int,
    rounds: int,
    image_size: int,
    seeds: tuple[int, ...],
    weights: str,
    stem: Stem,
    head: Head,
    prompts: tuple[str, ...],
    embeddings: Path | None,
    annotator: str,
    jobs: int | None,
    copies_measure: bool,
    engine: str,
    address: str | None,
    out: Path,
    plot: Path | None,
    **training: Any,
) -> None:
    """Run the loop with a simulated annotator, for each strategy and seed.

    Several run side by side. Each round that ends is kept in $AL_HOME/simulations: stopped
    anywhere, the same command goes on from there, and a run that is known is not run again.
    """
    # Embeddings take the place of weights and the features by them.
    model = (
        ModelConfig(weights, stem, head, prompts="\n".join(prompts))
        if embeddings is None
        else ModelConfig(head=head, embeddings=str(located(str(embeddings))))
    )
    given = {name: value for name, value in training.items() if value is not None}
    train = replace(default_train(data), **given)
    # Settings are checked before images are loaded: a typo should not cost a minute.
    simulations = {
        (strategy, seed): Simulation(
            ExperimentConfig(
                data=data, strategy=strategy, start=start, initial=initial, per_round=per_round,
                rounds=rounds, model=model, train=train, seed=seed, image_size=image_size,
                copies_measure=copies_measure,
            ),
            annotator,
        )
        for strategy, seed in itertools.product(strategies, seeds)
    }  # fmt: skip
    dataset = _checked(list(simulations.values()), out, plot)

    # Seed by seed, so that a stopped run has compared all strategies on some seeds.
    in_turn = sorted(simulations.values(), key=lambda one: seeds.index(one.config.seed))
    table = run_shown(_tabulated(_reports(in_turn, jobs, engine, address), simulations, out))
    if is_stream(out):  # which takes what it gets, so only the whole table
        _write(table, out)
    if plot is not None:
        _draw(table, out.name, dataset, plot)


def _checked(simulations: Sequence[Simulation], out: Path, plot: Path | None) -> Dataset:
    """The images, once all that is needed is known to be there: an hour's run does not end in a
    complaint."""
    one = simulations[0]
    config, model, annotator = one.config, one.config.model, one.annotator
    named = (config.data, model.weights, model.embeddings, annotator.rpartition(":")[0])
    options.check_outputs(filter(None, (out, plot)), [located(name) for name in named if name])
    if plot is not None and plot.suffix.lower() not in FORMATS:
        raise ConfigError(f"A picture is written as {' or '.join(FORMATS)}, not as {plot.name}.")
    dataset = options.load_images(
        config.data, config.size_in_memory, model, config.folders_are_classes
    )
    if leaks := len(leaking(dataset)) * (not config.copies_measure):
        click.echo(
            "Test images that show, or nearly show, what a training image shows: "
            f"{leaks:,} of {len(dataset.test):,}. They measure nothing without --copies-measure.",
            err=True,
        )
    dataset = measured(dataset, config.copies_measure)
    if plot is not None and not (dataset.test.targets >= 0).any():
        raise ConfigError("Without a test image nothing is measured: leave --plot out.")
    names = dataset.train.class_names
    for one in simulations:
        named_classes = replace(one.config, class_names=names)
        named_classes.check_against(len(dataset.train), dataset.has_truth)
    if unmeasured := too_few_to_test(names, dataset.test.targets):
        click.echo(unmeasured_in_words(unmeasured, len(names)), err=True)
    from al_core.simulation.simulate import find_annotator  # with torch, which takes two seconds

    find_annotator(annotator, dataset)
    if model.embeddings:
        read_features(Path(model.embeddings), dataset)
    return dataset


def _draw(table: str, name: str, dataset: Dataset, plot: Path) -> None:
    """Draw the curves of a table that is written to the file ``name``."""
    measure = leading_on(np.bincount(dataset.test.targets[dataset.test.targets >= 0]))
    curves = read_curves(table.encode(), name, measure)
    title = title_of(measure, "test")
    save_chart(curves_chart(bands(curves, "labeled"), "Labelled images", title), plot)


def _reports(
    simulations: Sequence[Simulation], jobs: int | None, engine: str, address: str | None
) -> Iterator[Progress | Row]:
    if engine == "ray":
        from al_core.distributed.simulate import simulate_on_ray

        return simulate_on_ray(simulations, jobs, address)
    return run_all(simulations, jobs or jobs_that_fit(len(simulations)))


def _tabulated(
    reports: Iterator[Progress | Row], simulations: Mapping[tuple[str, int], Simulation], out: Path
) -> Work[str]:
    """Write all rows so far, in the order of the simulations, as each round ends; return them."""
    order = [*simulations]
    rows: list[Row] = []
    text = io.StringIO()
    for report in reports:
        if isinstance(report, Progress):
            yield report
            continue
        rows.append(report)
        rows.sort(key=lambda row: (order.index((row.strategy, row.seed)), row.round))
        table = [asdict(row) | simulations[row.strategy, row.seed].settings for row in rows]
        text = io.StringIO()
        write_row(text, table[0])
        for cells in table:
            write_row(text, cells.values())
        if not is_stream(out):
            _write(text.getvalue(), out)
        say(_sentence(report), out)
    return text.getvalue()


def _write(table: str, out: Path) -> None:
    with whole_text(out) as file:
        file.write(table)


def _sentence(row: Row) -> str:
    measured = "no test set"
    if row.test_accuracy is not None:
        measured = f"{row.test_accuracy:.1%} on test"
        if row.balanced_accuracy is not None and row.macro_f1 is not None:
            measured += f", balanced {row.balanced_accuracy:.1%}, macro F1 {row.macro_f1:.1%}"
    return (
        f"{row.strategy}, seed {row.seed}, round {row.round}: {row.labeled:,} labelled, {measured}"
    )
