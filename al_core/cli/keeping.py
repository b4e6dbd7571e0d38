"""``storage``, ``delete``, ``backup``, ``restore``: what a command does with all that is kept."""

from __future__ import annotations

from pathlib import Path

import click

from al_core.cli.options import FILE, option
from al_core.cli.terminal import run_shown, say
from al_core.files.paths import database_address
from al_core.names import counted, in_bytes
from al_core.storage.clean import GB, clean, limit_in_bytes
from al_core.storage.forget import forget, record_of
from al_core.storage.kept import CACHES, KINDS, PER_EXPERIMENT, glance
from al_core.store.backup import back_up
from al_core.store.backup import restore as bring_back
from al_core.store.records import annotator_name
from al_core.store.store import Store


@click.command()
@click.argument("file", type=FILE)
def backup(file: Path) -> None:
    """Copy the database to FILE, also while somebody labels.

    It holds all experiments with their labels, and no pictures: those that were uploaded lie in
    the folder uploads.
    """
    there = back_up(database_address(), file)
    say(f"{counted(there, 'experiment')} copied to {file}.", file)


@click.command()
@click.argument("file", type=FILE)
def restore(file: Path) -> None:
    """Put the backup FILE in the place of the database, which is kept beside it."""
    kept = bring_back(database_address(), file)
    say(f"{file} is the database now." + (f" The one before is kept as {kept}." if kept else ""))


@click.command()
@click.argument("experiment")
@click.option("--for-good", is_flag=True, help="Remove all that is its own; nothing restores it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@option("--annotator", default="me", help="Who is said to have deleted it.")
def delete(experiment: str, for_good: bool, yes: bool, annotator: str) -> None:
    """Hide an experiment, which the page can restore; or remove it for good.

    EXPERIMENT is its name or, as #3, its number.
    """
    store = Store()
    record = record_of(store, experiment)
    if not for_good:
        store.delete_experiment(record.id, annotator_name(annotator))
        say(f"“{record.name}” is deleted; the page can restore it, and --for-good removes it.")
        return
    if not yes:
        labels = counted(len(store.log(record.id)), "answer")
        click.confirm(
            f"Remove “{record.name}” with its {labels}, its models, and the uploads and caches "
            "that no other experiment uses? Nothing restores it.",
            abort=True,
        )
    stopped = "Stopped; the same command goes on from here."
    removed = run_shown(forget(store, record.id), stopped)
    say(f"“{record.name}” is gone, and {in_bytes(removed)} of files with it.")


@click.command()
@click.option("--clean", "cleans", is_flag=True, help="Remove what no experiment uses.")
@click.option(
    "--limit",
    type=click.FloatRange(min=0),
    help="With --clean: GB that caches may take; what was not used for longest goes, if it can be "
    "computed again.  [default: AL_CACHE_GB]",
)
def storage(cleans: bool, limit: float | None) -> None:
    """Show what is kept, what it takes, and for whom; and clean it."""
    store = Store()
    most = limit_in_bytes() if limit is None else limit * GB
    if cleans:
        done = run_shown(clean(store, most))
        say(f"{in_bytes(done.removed)} removed; caches take {in_bytes(done.left)}.")
        if most is not None and done.left > most:
            say("What is left above the limit is in use, and cannot be computed again now.")
    there = run_shown(glance(store))
    for kind in KINDS:
        unused = there.unused(kind) if kind in CACHES else 0
        rest = f"  ({in_bytes(unused)} that no experiment uses)" if unused else ""
        say(f"{in_bytes(there.size(kind)):>8}  {kind}{rest}")
    for record in there.records:
        deleted = ", deleted" * (record.deleted_at is not None)
        own = sum(there.size(kind, record.id) for kind in PER_EXPERIMENT)
        say(f"{in_bytes(own):>8}  #{record.id} “{record.name}”{deleted}")
