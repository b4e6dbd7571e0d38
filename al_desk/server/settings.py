"""Settings of an experiment that somebody changes, once their weights are known to be there."""

from __future__ import annotations

from dataclasses import replace

from al_core.config import ExperimentConfig
from al_core.errors import WeightsError
from al_core.experiment.experiment import open_experiment
from al_core.experiment.settings import change_settings
from al_core.store.store import Store
from al_desk.server.images import open_weights


def save_settings(store: Store, experiment_id: int, wanted: ExperimentConfig) -> str:
    """Bring the settings of an experiment to those ``wanted``; every label stays. Returns what to
    tell. Raises WeightsError for weights that cannot be used, and ConfigError as
    :func:`change_settings` does."""
    model = wanted.model
    if model.is_file or model.is_of_library:
        job = open_weights(model, wanted.image_size, fresh=True)
        if not job.wait(60):
            raise WeightsError("These weights take long to read; save again in a minute.")
        if job.error:
            raise WeightsError(job.error)
    now = open_experiment(store, experiment_id)
    # Classes are no setting once they may have changed: their names are a fold of the log.
    wanted = replace(wanted, class_names=now.config.class_names)
    change_settings(store, now, wanted)
    return "Saved. The next training uses it."
