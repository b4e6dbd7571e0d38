"""Rounds in the background: their names, and a linear head that is fitted while a batch is
labelled, so that the next one is ready."""

from __future__ import annotations

from collections.abc import Iterable

from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.pool import Pool
from al_core.images.dataset import Dataset
from al_core.jobs import Job
from al_core.models.learned_weights import waits_for_features
from al_core.progress import Work
from al_core.store.records import Batch
from al_core.store.store import Store
from al_desk.server.images import images_at_hand
from al_desk.server.resources import open_store, trainer

SHARES = (0.5, 1.0)  # of a batch; the head is fitted again when this much of it is answered
KEPT = 100  # batches of which it is known how much is answered

_answered: dict[int, set[int]] = {}  # by batch


def round_key(experiment_id: int, number: int) -> str:
    """The key of the job that runs a round."""
    return f"experiment {experiment_id}, round {number}"


def embedding_of(experiment: Experiment, images: Dataset) -> Job | None:
    """The job that embeds the images of an experiment behind whoever labels, begun if need be; None
    where there is nothing to embed any more, or not yet. It lets rounds go first."""
    model = experiment.config.model
    waits = waits_for_features(experiment.config, images.learned_for)
    if model.head != "linear" or model.embeddings or waits or images.is_outline:
        return None
    about = f"{model.weights} {model.architecture} {experiment.config.image_size}"
    key = f"experiment {experiment.id}, embedding {images.fingerprint} by {about}"
    job = trainer().job(key)
    if job is not None:
        return job
    if experiment.phase is Phase.FINISHED:
        return None

    def work() -> Work[None]:
        from al_core.loop.embed_rest import embed_the_rest
        from al_core.models.hardware import find_hardware

        yield from embed_the_rest(open_store(), experiment.id, images, find_hardware())

    # Of the images as they were, or by another encoder.
    trainer().cancel_all(f"experiment {experiment.id}, embedding")
    return trainer().submit(key, work, background=True)


def refit_when_due(store: Store, number: int, batch: Batch, answered: Iterable[int]) -> None:
    """Fit an experiment's linear head in the background, once for each of the SHARES of a batch
    that was answered with these images and those before."""
    known = _answered.get(batch.id)
    if known is None:
        known = {*Pool.fold(0, store.annotations(number, batch.images)).answers}
        _answered[batch.id] = known
        for oldest in list(_answered)[:-KEPT]:
            del _answered[oldest]
    known.update(answered)
    due = sum(len(known) >= share * len(batch.images) for share in SHARES)
    key = f"experiment {number}, batch {batch.id}, fit {due}"
    if not due or trainer().job(key) is not None:
        return
    experiment = open_experiment(store, number)
    if batch.round != experiment.next_round:
        return
    if waits_for_features(experiment.config, experiment.fingerprint):
        return
    if (images := images_at_hand(experiment)) is not None:
        trainer().submit(key, lambda: _refit(store, experiment, images))


def _refit(store: Store, experiment: Experiment, images: Dataset) -> Work[None]:
    from al_core.loop.advance import refit
    from al_core.models.hardware import find_hardware

    yield from refit(store, experiment.id, images, find_hardware(), so_far=True)
