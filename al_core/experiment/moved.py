"""A source that moved as a whole: the same images at a new path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from al_core.errors import ConfigError
from al_core.experiment.changes import changes_since, in_words
from al_core.experiment.experiment import open_experiment
from al_core.experiment.listed import listed
from al_core.experiment.source import bring_up_to_date
from al_core.files.paths import located
from al_core.images.dataset import Dataset, has_files
from al_core.store.records import MISSING

if TYPE_CHECKING:
    from al_core.store.store import Store


def move(store: Store, experiment_id: int, source: Dataset) -> str:
    """Let an experiment go on with the images of ``source``, which was loaded by its new path, and
    return a sentence on what was found there.

    They are compared by the digests of their files. Raises ConfigError, and changes nothing, where
    fewer than half of the images that were last there are among them, so that it is another source.
    """
    experiment = open_experiment(store, experiment_id)
    path = str(located(source.source))
    manifest = experiment.manifest
    if manifest is None or not has_files(source):
        if source.fingerprint != experiment.fingerprint:
            raise ConfigError(f"The images at {path} are not those of “{experiment.name}”.")
        said = "All of its images were found there."
    else:
        there = {digest for one in listed(source) for digest in (one.digest, one.shows)}
        rows = [*manifest.pool, *manifest.test]
        wanted = [row for row in rows if row.state != MISSING] or rows
        found = sum(row.digest in there or row.shows in there for row in wanted)
        if 2 * found < len(wanted):
            raise ConfigError(
                f"Of the {len(wanted):,} images of “{experiment.name}” {found:,} are at {path}, "
                "and at least half must be: nothing was changed."
            )
        said = f"{found:,} of its {len(wanted):,} images were found there."
    store.change_config(experiment_id, {"data": path})
    bring_up_to_date(store, experiment_id, source)
    now = open_experiment(store, experiment_id).manifest
    if manifest and now and (changes := in_words(changes_since(now, len(manifest.rows)))):
        said = f"{said.rstrip('.')}: {changes}."
    return said
