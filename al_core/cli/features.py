"""``embed`` and ``pretrain``: features computed, and learned from images alone."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from al_core.cli import options
from al_core.cli.options import FILE_TO_WRITE, FOLDER, WEIGHTS_HELP, load_images, option, required
from al_core.cli.terminal import run_shown, say
from al_core.config import SMALL, ModelConfig, Stem, default_train, size_in_memory
from al_core.errors import ConfigError
from al_core.features.config import Method, PretrainConfig
from al_core.features.embedding_files import NOTE
from al_core.files.atomic import check_writable, refusals
from al_core.files.paths import located
from al_core.models.learned_weights import learned_path
from al_core.names import counted


@click.command()
@required("--data", help="cifar10, digits, or a path to images; with ray also the address of a "
          "folder, s3://, gs://...")  # fmt: skip
@required("--weights", help=WEIGHTS_HELP)
@required("--out", type=FOLDER, help="The folder to write embedding files to.")
@options.architecture
@options.image_size
@options.engine("many files side by side, by all GPUs or cores of a cluster.")
def embed(
    data: str,
    weights: str,
    out: Path,
    architecture: str,
    image_size: int | None,
    engine: str,
    address: str | None,
) -> None:
    """Compute the features that weights see in all images, float16, a row for each.

    Stopped anywhere, the same command goes on from there; once images have come to a source, it
    embeds those.
    """
    if engine == "local" and "://" in data:
        raise ConfigError(f"{data} is read by a Ray cluster only: add --engine ray.")
    if ":/" in str(out):  # Path makes s3:/ of s3://
        raise ConfigError("The features go to a folder, which all machines of a cluster share.")
    # Raises where these give no features.
    model = ModelConfig(weights, head="linear", architecture=architecture)
    source = located(data)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ConfigError(
            f"{out} is within the folder of the images, whose tables would be read in their place "
            "from then on; name a folder elsewhere."
        )
    with refusals(out):
        out.mkdir(parents=True, exist_ok=True)
    check_writable(out / NOTE)
    if engine == "ray":
        from al_core.distributed.embed import embed_on_ray

        count, unreadable = run_shown(embed_on_ray(data, model, out, image_size, address))
        left_out = f"; {unreadable:,} could not be read" if unreadable else ""
        say(f"The features of {counted(count, 'image')}, written to {out}{left_out}.")
        return
    from al_core.features.embed import embed_into  # with torch, which takes two seconds

    dataset = load_images(data, size_in_memory(data, image_size, model), model)
    features = run_shown(embed_into(out, model, dataset, image_size))
    n, width = features.train.shape
    say(f"{counted(n + len(features.test), 'image')}, {width} features each, written to {out}.")


@click.command()
@options.data
@option("--out", type=FILE_TO_WRITE, help="The .safetensors file to write  "
        "[default: where --weights learned finds it]")  # fmt: skip
@option("--method", type=click.Choice(get_args(Method)), default="emp-ssl")
@option("--minutes", type=float, help="Of computing  [default: 30, unless --epochs is given]")
@option("--epochs", type=int, help="Passes over the images, each in several views.")
@option("--batch-size", type=int, help="Images a step  [default: the method's own]")
@options.stem
@option("--flip/--no-flip", default=None,
        help="Take a mirrored image for the same thing  [default: not for digits]")  # fmt: skip
@options.image_size
@option("--seed", default=0)
def pretrain(
    data: str,
    out: Path | None,
    method: Method,
    minutes: float | None,
    epochs: int | None,
    batch_size: int | None,
    stem: Stem,
    flip: bool | None,
    image_size: int | None,
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
    if out is not None:
        with refusals(out):
            out.parent.mkdir(parents=True, exist_ok=True)
        check_writable(out)
    from al_core.features.pretrain import pretrain as learn
    from al_core.models.hardware import find_hardware  # with torch, which takes two seconds

    dataset = load_images(data, image_size or SMALL)
    path = out or learned_path(dataset.fingerprint)
    report = run_shown(learn(dataset, config, find_hardware(), path), between_steps=True)
    say(f"{report.phase}, in {report.seconds:,.0f} seconds. Written to {path}.")
