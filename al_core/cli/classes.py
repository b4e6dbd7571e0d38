"""``classes``: what an experiment's classes are, and what a person does with them."""

from __future__ import annotations

import click

from al_core.cli import options
from al_core.cli.options import option
from al_core.cli.terminal import SentenceGroup, say
from al_core.experiment import class_acts as of
from al_core.experiment.class_acts import Make, change_classes
from al_core.experiment.classes import ASIDE, in_words, standing
from al_core.experiment.experiment import open_experiment
from al_core.store.records import annotator_name
from al_core.store.store import Store

annotator = option("--annotator", default="me", help="Written beside the change.")
names = click.argument("names", nargs=-1, required=True)


@click.group(cls=SentenceGroup)
def classes() -> None:
    """Show the classes of an experiment, or change them: add, rename, key, order, merge, split,
    retire.

    A change is a row of the log that can be undone, and replayed. Labels keep what they said: those
    of classes that were merged count as one, the images of one that was split are asked about
    again, and those of one that was retired count as skipped.
    """


@classes.command("list")
@options.experiment
def show(name: str) -> None:
    """The classes in their order, with their labels, and all changes of them."""
    experiment = open_experiment(Store(), name)
    counts = dict.fromkeys(experiment.classes.shown, 0)
    for answer in experiment.pool.answers.values():
        if answer.label is not None:
            counts[answer.label] += 1
    for number, count in counts.items():
        say(f"{experiment.classes.names[number]}: {count:,} labels")
    changes = experiment.class_changes
    for change, stands in zip(changes, standing(changes), strict=True):
        if change.kind in ASIDE:
            continue
        who = f"{change.created_at:%Y-%m-%d %H:%M}, {change.annotator}"
        taken_back = "" if stands else " (undone)"
        say(f"{who}: {in_words(change, experiment.classes)}{taken_back}")


@classes.command()
@options.experiment
@names
@annotator
def add(name: str, names: tuple[str, ...], annotator: str) -> None:
    """Add classes."""
    _change(name, annotator, of.add(names))


@classes.command()
@options.experiment
@click.argument("old")
@click.argument("new")
@annotator
def rename(name: str, old: str, new: str, annotator: str) -> None:
    """Call the class OLD otherwise: NEW."""
    _change(name, annotator, of.rename(old, new))


@classes.command()
@options.experiment
@click.argument("old", metavar="CLASS")
@click.argument("key", default="")
@annotator
def key(name: str, old: str, key: str, annotator: str) -> None:
    """Put CLASS on a letter or digit of its own: KEY. Without one, it has none any more."""
    _change(name, annotator, of.put_on(old, key))


@classes.command()
@options.experiment
@names
@annotator
def order(name: str, names: tuple[str, ...], annotator: str) -> None:
    """Show classes in this order, and others after them. Keys follow the order."""
    _change(name, annotator, of.reorder(names))


@classes.command()
@options.experiment
@names
@options.required("--into", help="The class that they become.")
@annotator
def merge(name: str, names: tuple[str, ...], into: str, annotator: str) -> None:
    """Let the labels of these classes count as those of another."""
    _change(name, annotator, of.merge(names, into))


@classes.command()
@options.experiment
@click.argument("old")
@names
@annotator
def split(name: str, old: str, names: tuple[str, ...], annotator: str) -> None:
    """Put new classes in the place of OLD. Its images are asked about again."""
    _change(name, annotator, of.split(old, names))


@classes.command()
@options.experiment
@click.argument("old")
@annotator
def retire(name: str, old: str, annotator: str) -> None:
    """Use the class OLD no more: its images count as skipped."""
    _change(name, annotator, of.retire(old))


@classes.command()
@options.experiment
@annotator
def undo(name: str, annotator: str) -> None:
    """Take back the last change."""
    _change(name, annotator, of.undo())


@classes.command()
@options.experiment
@annotator
def redo(name: str, annotator: str) -> None:
    """Do again what was undone last."""
    _change(name, annotator, of.redo())


def _change(name: str, annotator: str, make: Make) -> None:
    store = Store()
    who, number = annotator_name(annotator), store.experiment(name).id
    after = change_classes(store, number, who, make)
    say(f"The classes are now: {', '.join(after.names[one] for one in after.shown)}.")
