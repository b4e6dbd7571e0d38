"""Streamlit in a process that begins with everything imported: half a server's start is imports.

A process of multiprocessing's fork server. Only for tests of what a server does afterwards: those
of how it starts, and of how it is killed, run the command.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    [
        "tests.narrow",
        "streamlit.web.bootstrap",
        "uvicorn",
        "altair",
        "al_desk.page",
        "al_core.loop.advance",
        "al_core.cli.main",
        "pyarrow.parquet",
    ]
)


def start(arguments: Sequence[str], env: Mapping[str, str], log: Path) -> ForkServerProcess:
    """``streamlit`` with these arguments and no other environment; it prints to ``log``."""
    process = context.Process(target=_run, args=(arguments, dict(env), log), daemon=True)
    process.start()
    return process


def _run(arguments: Sequence[str], env: dict[str, str], log: Path) -> None:
    with log.open("w") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(env)
    from streamlit.web.cli import main

    try:
        main([*arguments], prog_name="streamlit")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves without them
