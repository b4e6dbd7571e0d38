"""Accepting the guesses for many images at once, and taking that back: a row of the log each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from al_core.errors import ConfigError
from al_core.experiment.experiment import open_experiment
from al_core.names import counted
from al_core.store.records import Acceptance

if TYPE_CHECKING:
    from al_core.store.store import Store


def accept(store: Store, experiment_id: int, wanted: Acceptance) -> int:
    """Give the images that are ``wanted`` the class at once; how many got it.

    Those that have an answer by now, are being asked about, or measure the model are left out.
    Raises ConfigError where none is left, or the class is not given any more.
    """
    while True:
        experiment = open_experiment(store, experiment_id)
        if any(act.event == wanted.event for act in experiment.acceptances if act.event):
            return 0
        if wanted.label not in experiment.classes.shown:
            raise ConfigError("This class is not given any more; look again.")
        free = {*experiment.free_images.tolist()} - experiment.taken_out
        images = sorted(free.intersection(wanted.images))
        if not images:
            raise ConfigError("Nothing is left to accept: all of these have an answer by now.")
        keys = dict(zip(wanted.images, wanted.keys, strict=True)) if wanted.keys else {}
        new = replace(wanted, images=images, keys=[keys[i] for i in images] if keys else ())
        if store.add_acceptance(experiment_id, new, len(experiment.acceptances)):
            return len(images)


def take_back_last(store: Store, experiment_id: int, annotator: str) -> str:
    """Take back what was accepted last and stands; a sentence about it. Raises ConfigError where
    nothing was."""
    while True:
        experiment = open_experiment(store, experiment_id)
        acts = experiment.acceptances
        undone = {act.undoes for act in acts}
        standing = [p for p, act in enumerate(acts) if act.undoes < 0 and p not in undone]
        if not standing:
            raise ConfigError("Nothing was accepted that could be taken back.")
        last = acts[standing[-1]]
        nothing = replace(last, images=(), keys=(), event=None)
        undo = replace(nothing, annotator=annotator, undoes=standing[-1])
        if store.add_acceptance(experiment_id, undo, len(acts)):
            name = experiment.classes.names[last.label]
            return f"{counted(len(last.images), 'image')} accepted as “{name}” taken back."
