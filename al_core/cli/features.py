"""``embed`` and ``pretrain``: features computed, and learned from images alone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import get_args

import click

from al_core.cli.options import engine_options
from al_core.cli.simulate import WEIGHTS_HELP
from al_core.cli.terminal import progress_bars, stops_between_steps
from al_core.config import Method, PretrainConfig, Stem, default_train
from al_core.errors import ConfigError
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.models.learned_weights import learned_path
from al_core.progress import Progress, finish


@click.command()
@click.option("--data", required=True, help="cifar10, digits, or a path to images; with ray also "
              "the address of a folder, s3://, gs://...")  # fmt: skip
@click.option("--weights", required=True, help=WEIGHTS_HELP)
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="The folder to write embedding files to.")  # fmt: skip
@click.option("--image-size", default=32, show_default=True, help="Images are brought to it.")
@engine_options("many files side by side, by all GPUs or cores of a cluster.")
def embed(
    data: str, weights: str, out: Path, image_size: int, engine: str, address: str | None
) -> None:
    """Compute the features that weights see in all images, float16, a row for each.

    Stopped anywhere, the same command goes on from there; once images have come to a source, it
    embeds those.
    """
    if engine == "local" and "://" in data:
        raise ConfigError(f"{data} is read by a Ray cluster only: add --engine ray.")
    if "://" in str(out) or str(out).startswith(("s3:/", "gs:/")):
        raise ConfigError("The features go to a folder, which all machines of a cluster share.")
    try:
        with progress_bars("") as show:
            if engine == "ray":
                from al_core.distributed.embed import embed_on_ray

                work = embed_on_ray(data, weights, out, image_size, address)
                count, unreadable = finish(work, show)
                left_out = f"; {unreadable:,} could not be read" if unreadable else ""
                click.echo(f"The features of {count:,} images, written to {out}{left_out}.")
                return
            from al_core.features.embed import embed_into  # with torch, which takes two seconds

            loading = load(data, image_size=image_size, cache_dir=home() / "cache")
            dataset = finish(loading, show)
            features = finish(embed_into(out, weights, dataset), show)
    except KeyboardInterrupt:
        raise click.ClickException("Stopped; the same command goes on from here.") from None
    n, width = features.train.shape
    click.echo(f"{n + len(features.test):,} images, {width} features each, written to {out}.")


@click.command()
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
    from al_core.features.pretrain import pretrain as learn
    from al_core.models.hardware import find_hardware  # with torch, which takes two seconds

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
