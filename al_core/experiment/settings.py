"""Settings that are changed while an experiment runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from al_core.config import CHANGEABLE, LEARNED, ExperimentConfig, check_enough_to_learn_from
from al_core.errors import ConfigError
from al_core.experiment.accepted import looks_due
from al_core.experiment.experiment import Experiment
from al_core.names import check_prompts, counted

if TYPE_CHECKING:
    from al_core.store.store import Store


def add_rounds(store: Store, experiment: Experiment, more: int) -> None:
    """Extend a finished experiment by ``more`` rounds; raises ConfigError if it cannot be."""
    rounds = experiment.next_round - 1 + more
    change_settings(store, experiment, replace(experiment.config, rounds=rounds))


def change_settings(store: Store, experiment: Experiment, wanted: ExperimentConfig) -> None:
    """Bring the settings of ``experiment`` to those ``wanted``, from the next training and the next
    batch on. What nobody changed here stays as others have left it meanwhile.

    Raises ConfigError for what cannot be changed any more, and for more rounds than there are
    images for.
    """
    before = experiment.config.to_json()
    wanted = replace(wanted, model=wanted.model.located())
    changed = {name: value for name, value in wanted.to_json().items() if value != before[name]}
    if fixed := changed.keys() - CHANGEABLE:
        names = ", ".join(sorted(name.replace("_", " ") for name in fixed))
        raise ConfigError(f"Settled when the experiment was started: {names}.")
    if changed.keys() & {"rounds", "per_round"}:
        done, left = experiment.next_round - 1, len(experiment.left)
        left += len(looks_due(experiment, wanted.rounds * wanted.per_round))
        if wanted.rounds < done:
            raise ConfigError(
                f"Round {done} was trained already; choose at least {counted(done, 'round')}."
            )
        more = wanted.rounds - max(done, 0)
        if more and (not left or (more - 1) * wanted.per_round >= left):
            raise ConfigError("There are not enough unlabelled images left for that many rounds.")
    check_prompts(experiment.classes.called, wanted.model.prompts, experiment.config.model.prompts)
    if wanted.model.weights == LEARNED:
        check_enough_to_learn_from(experiment.pool_size)
    store.change_config(experiment.id, changed)
