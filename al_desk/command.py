"""``al-desk``: the desk from any directory, and the commands of ``python -m al_core``."""

from __future__ import annotations

from pathlib import Path

import click

from al_core.cli.terminal import SentenceGroup


class _Commands(SentenceGroup):
    """The commands of al_core, imported when asked for: the desk does not wait for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from al_core.cli.main import main as core

        return core.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from al_core.cli.main import main as core

        return core.get_command(ctx, cmd_name)


@click.group(cls=_Commands, invoke_without_command=True)
@click.option("--data", help="Images to offer: cifar10, digits, or a path to images.")
@click.option("--address", help="Where to listen.  [default: localhost: there is no login]")
@click.option("--port", type=click.IntRange(1, 65535), help="[default: 8501, or the next free one]")
@click.version_option(package_name="al-desk")
@click.pass_context
def main(ctx: click.Context, data: str | None, address: str | None, port: int | None) -> None:
    """Open the desk in the browser, or run one of the commands below without it."""
    if ctx.invoked_subcommand is None:
        _open_desk(data, address, port)
    elif (data, address, port) != (None, None, None):
        raise click.UsageError(
            "--data, --address and --port stand here for the desk: write the options of "
            f"“{ctx.invoked_subcommand}” after its name."
        )


def _open_desk(data: str | None, address: str | None, port: int | None) -> None:
    """Do what ``streamlit run`` does, with its order: an option goes before a variable
    ``STREAMLIT_…``, and that before ``config.toml``."""
    from streamlit.web.cli import main as streamlit

    words = ["run", str(_app())]
    words += [f"--server.address={address}"] if address else []
    words += [f"--server.port={port}"] if port else []
    words += ["--", f"--data={data}"] if data else []
    streamlit(words, prog_name="al-desk")


def _app() -> Path:
    """The page's script, beside which Streamlit finds ``.streamlit/config.toml``: in the package
    where that was installed (setup.py), else at the top of the repository. Without these settings
    the desk would listen on every address."""
    package = Path(__file__).parent
    folder = package if (package / ".streamlit" / "config.toml").exists() else package.parent
    return folder / "streamlit_app.py"
