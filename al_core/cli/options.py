"""The options that choose where heavy work is done: here, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from al_core.errors import ConfigError

ENGINES = ("local", "ray")
Command = TypeVar("Command", bound=Callable[..., Any])


def engine_options(ray: str) -> Callable[[Command], Command]:
    """The options --engine and --address; ``ray`` says what a cluster does for the command."""
    # The engine is eager, so that it is known when the address is checked, in whatever order.
    engine = click.option(
        "--engine", type=click.Choice(ENGINES), default="local", show_default=True, is_eager=True,
        help=f"ray: {ray}",
    )  # fmt: skip
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
