"""The command line: ``python -m al_core`` and the name of a command."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import get_args

import click

from al_core.choose_command import choose
from al_core.config import Method, PretrainConfig, Stem, default_train
from al_core.engine import engine_options
from al_core.errors import ConfigError
from al_core.experiment import Experiment, check_images, open_experiment
from al_core.export import export_labels
from al_core.export_images import export_folders, export_parquet
from al_core.images import Dataset, load
from al_core.import_labels import MOST_PROBLEMS, import_labels, read_labels
from al_core.learned import learned_path
from al_core.pool import annotator_name
from al_core.progress import Progress, finish
from al_core.simulate_command import WEIGHTS_HELP, simulate
from al_core.store import Store, home
from al_core.terminal import SentenceGroup, progress_bars, stops_between_steps


@click.group(cls=SentenceGroup)
def main() -> None:
    """Active learning on images: simulate experiments, learn and compute features, take labels away
    and bring labels in."""


main.add_command(simulate)
main.add_command(choose)


@main.command()
@click.option("--data", required=True, help="cifar10, digits, or a path to images; with ray also "
              "the address of a folder, s3://, gs://...")  # fmt: skip
@click.option("--weights", required=True, help=WEIGHTS_HELP)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="The folder to write train.npy and test.npy to; with ray, part-*.parquet."
              )  # fmt: skip
@click.option("--image-size", default=32, show_default=True, help="Images are brought to it.")
@engine_options("many files of keys and features, by all GPUs or cores of a cluster.")
def embed(
    data: str, weights: str, out: Path, image_size: int, engine: str, address: str | None
) -> None:
    """Compute the features that weights see in all images, float16, a row for each.

    Stopped anywhere, the same command goes on from there.
    """
    if engine == "local" and "://" in data:
        raise ConfigError(f"{data} is read by a Ray cluster only: add --engine ray.")
    if "://" in str(out) or str(out).startswith(("s3:/", "gs:/")):
        raise ConfigError("The features go to a folder, which all machines of a cluster share.")
    try:
        with progress_bars("") as show:
            if engine == "ray":
                from al_core.embed_on_ray import embed_on_ray

                work = embed_on_ray(data, weights, out, image_size, address)
                count, unreadable = finish(work, show)
                left_out = f"; {unreadable:,} could not be read" if unreadable else ""
                click.echo(f"The features of {count:,} images, written to {out}{left_out}.")
                return
            from al_core.features import embed_into  # with torch, which takes two seconds

            loading = load(data, image_size=image_size, cache_dir=home() / "cache")
            dataset = finish(loading, show)
            features = finish(embed_into(out, weights, dataset), show)
    except KeyboardInterrupt:
        raise click.ClickException("Stopped; the same command goes on from here.") from None
    n, width = features.train.shape
    click.echo(f"{n + len(features.test):,} images, {width} features each, written to {out}.")


@main.command()
@click.option("--data", required=True, help="cifar10, digits, or a path to images.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False),
              help="The .safetensors file to write  [default: where --weights learned finds it]"
              )  # fmt: skip
@click.option("--method", type=click.Choice(get_args(Method)), default="emp-ssl", show_default=True)
@click.option("--minutes", type=float, help="Of computing  [default: 30, unless --epochs is given]")
@click.option("--epochs", type=int, help="Passes over the images, each in several views.")
@click.option("--batch-size", type=int, help="Images a step  [default: the method's own]")
@click.option("--stem", type=click.Choice(get_args(Stem)), default="auto", show_default=True)
@click.option("--flip/--no-flip", default=None,
              help="Take a mirrored image for the same thing  [default: not for digits]"
              )  # fmt: skip
@click.option("--image-size", default=32, show_default=True, help="Images are brought to it.")
@click.option("--seed", default=0, show_default=True)
def pretrain(
    data: str,
    out: Path | None,
    method: Method,
    minutes: float | None,
    epochs: int | None,
    batch_size: int | None,
    stem: Stem,
    flip: bool | None,
    image_size: int,
    seed: int,
) -> None:
    """Learn features from the images alone, and write ResNet-18's weights; no label is read.

    Stopped by Ctrl-C, the same command goes on from there; killed, at most a minute back.
    """
    if minutes is None and epochs is None:
        minutes = PretrainConfig().minutes
    if flip is None:
        flip = default_train(data).flip
    config = PretrainConfig(method, minutes, epochs, batch_size, stem, flip, seed)
    if out is not None and out.suffix != ".safetensors":
        raise ConfigError(f"Weights are written as .safetensors, not as {out.name}.")
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already; name another file, or delete it.")
    from al_core.network import find_hardware  # with torch, which takes two seconds
    from al_core.pretrain import pretrain as learn

    try:
        with progress_bars("") as show:
            loading = load(data, image_size=image_size, cache_dir=home() / "cache")
            dataset = finish(loading, show)
            path = out or learned_path(dataset.fingerprint)
            with (
                closing(learn(dataset, config, find_hardware(), path)) as work,
                stops_between_steps() as stop,
            ):

                def tell(report: Progress) -> None:
                    show(report)
                    stop(report)

                report = finish(work, tell)
    except KeyboardInterrupt:
        raise click.ClickException("Stopped; the same command goes on from here.") from None
    click.echo(f"{report.phase}, in {report.seconds:,.0f} seconds. Written to {path}.")


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
    annotator = annotator_name(annotator)
    store = Store()
    experiment = open_experiment(store, name)
    dataset = _images_of(experiment)
    table = read_labels(labels.read_bytes(), dataset, experiment.config.class_names)
    for row, reason in table.problems[:MOST_PROBLEMS]:
        click.echo(f"Row {row}: {reason}", err=True)
    if more := len(table.problems[MOST_PROBLEMS:]):
        click.echo(f"And {more:,} more.", err=True)
    new = import_labels(store, experiment, table, dataset, annotator)
    click.echo(f"{new:,} labels imported; {len(table.labels) - new:,} stood there already.")


@main.command()
@click.option("--experiment", "name", required=True, help="The experiment's name.")
@click.option("--threads", type=click.IntRange(min=1), help="To compute with  [default: torch's]")
def replay(name: str, threads: int | None) -> None:
    """Choose each batch of an experiment again from its log, and say how many images are the same.

    On the machine, with the threads and the versions it was labelled with, all are.
    """
    store = Store()
    experiment = open_experiment(store, name)
    dataset = _images_of(experiment)
    import torch  # takes two seconds

    from al_core.network import find_hardware
    from al_core.replay import in_words, summed_up
    from al_core.replay import replay as choose_again

    if threads is not None:
        torch.set_num_threads(threads)
    hardware = find_hardware()
    try:
        with progress_bars("") as show:
            replayed = finish(choose_again(store, experiment.id, dataset, hardware), show)
    except KeyboardInterrupt:
        raise click.ClickException("Stopped; nothing was changed.") from None
    for one in replayed:
        click.echo(in_words(one))
    click.echo(summed_up(replayed, hardware))


def _images_of(experiment: Experiment) -> Dataset:
    config = experiment.config
    with progress_bars("") as show:
        loading = load(config.data, image_size=config.image_size, cache_dir=home() / "cache")
        dataset = finish(loading, show)
    check_images(experiment, dataset)
    return dataset


if __name__ == "__main__":
    main(prog_name="python -m al_core")
