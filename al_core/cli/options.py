"""Options that several commands share, and loading the images that one of them names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from al_core.cli.terminal import run_shown
from al_core.config import (
    LEARNED,
    OPEN_CLIP,
    SMALL,
    TIMM,
    WEIGHTS,
    WEIGHTS_FILES,
    ExperimentConfig,
    ModelConfig,
    Stem,
    TrainConfig,
)
from al_core.errors import ConfigError
from al_core.files.atomic import check_writable
from al_core.files.paths import home
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load, load_again

ENGINES = ("local", "ray")
Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FILE_TO_WRITE = click.Path(path_type=Path, dir_okay=False, readable=False)
FILE_TO_READ = click.Path(path_type=Path, dir_okay=False, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE_OR_FOLDER = click.Path(path_type=Path)

option = partial(click.option, show_default=True)
required = partial(click.option, required=True)

data = required("--data", help="cifar10, digits, or a path to images.")
experiment = required("--experiment", "name", help="The experiment's name.")
image_size = click.option(
    "--image-size", type=int,
    help="Images are brought to it  [default: 32 for a network that is trained; an encoder's own]",
)  # fmt: skip
stem = option("--stem", type=click.Choice(get_args(Stem)), default="auto")
WEIGHTS_HELP = (
    f"{', '.join(WEIGHTS)}; {TIMM}NAME; {OPEN_CLIP}MODEL/TAG; or a file "
    f"({', '.join(WEIGHTS_FILES)})."
)
architecture = option(
    "--architecture", default="", help="Timm's name for the network in a file of --weights."
)


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


# Of each setting of a training, what --help says; the option and its type come from its field.
TRAINING = {
    "epochs": "Passes over the labelled images.",
    "min_steps": "Optimiser steps a training has at least.",
    "batch_size": "Images per step.",
    "learning_rate": "The peak of the schedule.",
    "momentum": "Of stochastic gradient descent.",
    "weight_decay": "Keeps weights small.",
    "flip": "Mirror half of the images.",
    "shift": "Images are moved by up to so many pixels.",
    "class_weights": "off, on, full or auto: labels of rare classes count for more, by the root of "
    "their number, in full, or as the labels say (a network then trains four times as long).",
}
TYPES = {"int": int, "float": float, "bool": bool}


def training(command: Command) -> Command:
    """An option for each field of TrainConfig, None where it is not given."""
    for field in reversed(fields(TrainConfig)):
        flag = f"--{field.name.replace('_', '-')}"
        if field.type == "bool":
            flag += f"/--no-{field.name.replace('_', '-')}"
        note = TRAINING.get(field.name, "")
        kind = TYPES.get(str(field.type), str)
        text = f"{note}  [default: as in the page]"
        command = click.option(flag, field.name, type=kind, default=None, help=text)(command)
    return command


def load_images_of(config: ExperimentConfig, size: int, moved_to: str = "") -> Dataset:
    """The images of an experiment, ``size`` pixels a side, loaded with progress bars; where they
    have ``moved_to``."""
    return run_shown(
        load_again(
            moved_to or config.data,
            image_size=size,
            cache_dir=home() / "cache",
            folders_are_classes=config.folders_are_classes,
            moved_from=config.data if moved_to else "",
        )
    )


def load_images(
    data: str,
    image_size: int = SMALL,
    model: ModelConfig | None = None,
    folders_are_classes: bool = True,
) -> Dataset:
    """The images of a source, loaded with progress bars, and the weights of a ``model`` shown to be
    good: before the images, unless they are learned from those."""
    if model is not None and model.weights != LEARNED:
        _open(model)
    dataset = run_shown(
        load(
            data,
            image_size=image_size,
            cache_dir=home() / "cache",
            folders_are_classes=folders_are_classes,
        )
    )
    if model is not None and model.weights == LEARNED:
        _open(model, dataset.fingerprint)
    return dataset


def _open(model: ModelConfig, fingerprint: str = "") -> None:
    if model.weights != "none":
        from al_core.features.encoders.find import opened  # with torch, which takes two seconds

        run_shown(opened(model, fingerprint))


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path | None] = ()) -> None:
    """Before any work, refuse files that cannot be written, would replace inputs, or are one.

    Raises ConfigError and FileNotWritten.
    """
    read, written = {_which(path) for path in inputs if path}, set[object]()
    for path in outputs:
        check_writable(path)
        if _which(path) in read:
            raise ConfigError(f"{path} is read, and would be written over; name another file.")
        if _which(path) in written:
            raise ConfigError(f"{path} would be written twice; name two files.")
        written.add(_which(path))


def _which(path: Path) -> object:
    """What a path leads to; equal for two names of one file."""
    if path.exists():
        return path.stat().st_dev, path.stat().st_ino
    return os.path.realpath(path)
