"""The command: prints what was lost.

SIGKILL while labels are typed into the real page, while rounds train, while a folder changes, while
caches, features, checkpoints and simulations are written, and at each step of deleting for good,
cleaning, backup and restore; each time everything is started again and compared with what the page
had shown as saved, or with what a run gives that nobody kills. Needs requirements-dev.txt and a
Chromium.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from unittest import mock

import click

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of this process, which runs what nobody kills

from benchmarks.browser import heading
from benchmarks.faults.files import while_writing
from tests.cut_short import amid_a_backup, amid_a_cleaning, amid_a_deletion, amid_a_restore
from tests.house import untrained
from tests.kills import while_changing, while_training, while_typing
from tests.servers import chromium


@click.command()
@click.option("--typing", "typed", default=25, show_default=True, help="Kills while one labels.")
@click.option("--training", "trained", default=15, show_default=True, help="While rounds train.")
@click.option(
    "--changing", "changed", default=15, show_default=True, help="While a folder changes."
)
@click.option("--writing", "written", default=5, show_default=True, help="For each kind of file.")
@click.option(
    "--every",
    default=1,
    show_default=True,
    help="Of the steps of looking after what is kept, kill at each so many; 0: none.",
)
@click.option("--seed", default=0, show_default=True)
def main(typed: int, trained: int, changed: int, written: int, every: int, seed: int) -> None:
    """Kill, start again, compare."""
    rng = random.Random(seed)
    heading("digits")
    print("| killed while | times | lost | twice | damaged | other than without |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        home = Path(folder)
        if typed:
            print(while_typing(browser, home / "typing", typed, rng), flush=True)
        if trained:
            print(while_training(browser, home / "training", trained, rng), flush=True)
        if changed:
            print(while_changing(browser, home / "changing", changed, rng), flush=True)
        if written:
            for tally in while_writing(home / "writing", written, rng):
                print(tally, flush=True)
        if every:
            weights = untrained(home / "weights.safetensors")
            for scenario in (amid_a_deletion, amid_a_cleaning, amid_a_backup, amid_a_restore):
                own = home / scenario.__name__ / "home"
                own.mkdir(parents=True)
                with mock.patch.dict(os.environ, AL_HOME=str(own)):
                    print(scenario(own, weights, 1, every), flush=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.faults")
