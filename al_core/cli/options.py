"""Options that several commands share, and loading the images that one of them names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from al_core.cli.terminal import run_shown
from al_core.config import WEIGHTS, Stem
from al_core.errors import ConfigError
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load

ENGINES = ("local", "ray")
Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FILE_TO_READ = click.Path(path_type=Path, dir_okay=False, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE_OR_FOLDER = click.Path(path_type=Path)

option = partial(click.option, show_default=True)
required = partial(click.option, required=True)

data = required("--data", help="cifar10, digits, or a path to images.")
experiment = required("--experiment", "name", help="The experiment's name.")
image_size = option("--image-size", default=32, help="Images are brought to it.")
stem = option("--stem", type=click.Choice(get_args(Stem)), default="auto")
WEIGHTS_HELP = f"{', '.join(WEIGHTS)}, or a .safetensors file of ResNet-18."


def engine(ray: str) -> Callable[[Command], Command]:
    """The options --engine and --address; ``ray`` says what a cluster does for the command."""
    # The engine is eager, so that it is known when the address is checked, in whatever order.
    engine = option(
        "--engine", type=click.Choice(ENGINES), default="local", is_eager=True, help=f"ray: {ray}"
    )
    address = click.option(
        "--address", callback=_checked, help="Of the Ray cluster  [default: one on this machine]"
    )
    return lambda command: engine(address(command))


def _checked(context: click.Context, _: click.Parameter, address: str | None) -> str | None:
    if address is not None and context.params["engine"] != "ray":
        raise ConfigError("An --address is that of a Ray cluster: add --engine ray.")
    if address == "":
        raise ConfigError("The --address is empty; without it a cluster starts on this machine.")
    return address


def load_images(data: str, image_size: int = 32) -> Dataset:
    """The images of a source, loaded with progress bars."""
    return run_shown(load(data, image_size=image_size, cache_dir=home() / "cache"))
