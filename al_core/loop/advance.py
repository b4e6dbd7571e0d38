"""The loop of an experiment: run the round it waits for, log it, and choose the next batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from al_core.errors import FileNotWritten, StoreUnavailable
from al_core.experiment.disagreement import disagreement
from al_core.experiment.experiment import SO_FAR, Experiment, Phase, open_experiment
from al_core.experiment.predictions import (
    BEFORE,
    PoolPredictions,
    drop_predictions_before,
    load_predictions,
    save_measured,
    save_predictions,
)
from al_core.experiment.ready_batch import load_ready, save_ready
from al_core.experiment.source import images_of
from al_core.files.locks import Lock, held, wait_for_lock
from al_core.images.dataset import Dataset
from al_core.loop.cold_start import untrained_predictions
from al_core.loop.features import features_for, words_of
from al_core.loop.learners import HOLD_OUT, RoundTask
from al_core.loop.next_batch import choose_by, still_holds
from al_core.loop.round import Outcome, run_round
from al_core.loop.scoring import score_images
from al_core.models.hardware import Hardware
from al_core.models.weights import load_network, save_network, weights_path
from al_core.progress import Progress, Work
from al_core.store.records import Batch

if TYPE_CHECKING:
    from al_core.store.store import Store


def advance(
    store: Store, experiment_id: int, dataset: Dataset, hardware: Hardware, so_far: bool = False
) -> Work[None]:
    """Run the round an experiment waits for, save its weights, and write its record to the log.

    Also choose the batch of the next round, unless somebody is labelling one already. Stopped
    before the end, it logs nothing, and the round starts again cleanly. Where another server is
    training the round already, this waits for it to finish. With ``so_far``, a head is trained and
    chooses by the embeddings that are there, while the others are computed elsewhere.
    """
    lock = yield from wait_for_lock(lambda: _turn(store, experiment_id))
    with held(lock):
        experiment = _opened(store, experiment_id, so_far)
        yield from _advance(store, experiment, dataset, hardware)


def _opened(store: Store, experiment_id: int, so_far: bool) -> Experiment:
    experiment = open_experiment(store, experiment_id)
    return replace(experiment, embedded=SO_FAR) if so_far else experiment


def _turn(store: Store, experiment_id: int) -> Lock | None:
    """The lock for training an experiment; None, also where the database is away: wait."""
    with suppress(StoreUnavailable):
        return store.try_lock(f"training-{experiment_id}")
    return None


def _advance(
    store: Store, experiment: Experiment, dataset: Dataset, hardware: Hardware
) -> Work[None]:
    if experiment.phase is not Phase.TRAINING:
        return
    experiment_id, number = experiment.id, experiment.next_round
    temperature = _temperature(experiment, number)
    outcome, predictions = yield from train(experiment, number, dataset, hardware, temperature)
    yield Progress("Saving", 0, 0, "", 0)
    if outcome.network is not None:
        save_network(outcome.network, weights_path(experiment.folder, number))
    save_predictions(experiment.folder, predictions)
    if outcome.measured is not None:
        save_measured(experiment.folder, number, outcome.measured)
    asked = [store.batch(batch.id) for batch in experiment.batches if batch.round == number]
    with_reasons = replace(experiment, batches=tuple(filter(None, asked)))
    compared, disagreed, shown = disagreement(with_reasons, number)

    yield Progress("Choosing", 0, outcome.record.images_scored, "images", 0)
    experiment = open_experiment(store, experiment_id)  # the person labelled meanwhile
    started = time.perf_counter()
    batch = None
    if all(batch.round <= number for batch in experiment.batches):
        batch = choose_by(predictions, experiment, number + 1, hardware)
    record = replace(
        outcome.record,
        log_position=predictions.log_position,
        select_seconds=time.perf_counter() - started,
        compared=compared,
        disagreed=disagreed,
        guesses_shown=shown,
    )
    yield from _when_free(
        lambda: store.add_round(experiment_id, record, batch, place=len(experiment.batches))
    )
    drop_predictions_before(experiment.folder, number)


def train(
    experiment: Experiment,
    number: int,
    dataset: Dataset,
    hardware: Hardware,
    temperature: float | None = None,
) -> Work[tuple[Outcome, PoolPredictions]]:
    """Round ``number``, from the log position of ``experiment``, and its model's predictions.

    Where it trains a network, ``temperature`` is what to divide its logits by, if that is known.
    """
    dataset = images_of(experiment, dataset)
    experiment, features = yield from features_for(experiment, dataset, hardware)
    words = yield from words_of(experiment, dataset)
    task = RoundTask(
        experiment.config,
        number,
        experiment.pool_of(number).without(dataset.blank),
        dataset,
        features,
        words,
        held_out=experiment.held_out,
        temperature=temperature,
        ahead=_ahead(experiment),
    )
    outcome = yield from run_round(task, hardware)
    assert outcome.predictions is not None
    position, embedded = experiment.log_position, experiment.embedded
    return outcome, replace(outcome.predictions, log_position=position, embedded=embedded)


def _when_free(write: Callable[[], None]) -> Work[None]:
    """Write as soon as the database allows: the training should not be lost."""
    began = time.monotonic()
    while True:
        try:
            return write()
        except StoreUnavailable as error:
            yield Progress(f"Waiting: {error}", 0, 0, "", time.monotonic() - began)
            time.sleep(0.5)


def _ahead(experiment: Experiment) -> int:
    """How many images others may take before the batch that is chosen next: those of open batches,
    and of one more that may be handed out meanwhile."""
    return len(experiment.open_images) + experiment.config.per_round


def _temperature(experiment: Experiment, number: int) -> float | None:
    """The temperature that was last measured, for a network trained as the one of round ``number``
    on more than half of its labels; None where there is none, and it is to be measured.

    The labels of the last batch would cost nothing, but they are no sample of the pool: they were
    asked for because the model was least sure of them.
    """
    measured = [record for record in experiment.rounds[:number] if record.calibrated_by == HOLD_OUT]
    if not measured or measured[-1].log_position is None:
        return None
    then, now = measured[-1].log_position.settings, experiment.config.recorded
    if any(then.get(name) != now[name] for name in ("model", "train")):
        return None
    enough = 2 * measured[-1].labeled > len(experiment.pool_of(number).labeled)
    return measured[-1].temperature if enough else None


def latest_predictions(
    experiment: Experiment, dataset: Dataset, hardware: Hardware
) -> Work[PoolPredictions]:
    """The latest model's predictions for the training images: from disk, else from the model, else
    from training it again, as on a server that does not share the disk of the one that trained.

    They are of the images as they were when it was trained; which of them hold for those that are
    there now, :meth:`PoolPredictions.known_to` says. Before the first round all classes are
    equally likely, but where the encoder knows words. Raises WeightsError for a damaged file.
    """
    size, classes = experiment.pool_size, len(experiment.config.class_names)
    number = experiment.next_round - 1
    for latest in (number + 1, number):  # a head that was refit is ahead of its round
        saved = load_predictions(experiment.folder, latest)
        if saved is not None and len(saved.probs) <= size and saved.probs.shape[1] <= classes:
            return saved.by_classes_of(experiment)
    if number == BEFORE:
        dataset = images_of(experiment, dataset)
        return (yield from untrained_predictions(experiment, dataset, hardware))
    record = experiment.rounds[number]
    # As of that log position, whatever was labelled since: the same batch with or without the file.
    then = experiment.as_of(record.log_position) if record.log_position else experiment
    weights = weights_path(experiment.folder, number)
    if then.config.model.head == "linear":  # fitting again takes no longer than loading
        _, predictions = yield from train(then, number, dataset, hardware)
    else:
        if not weights.exists():
            yield from _train_again(then, number, dataset, hardware, record.temperature)
        network = load_network(weights, hardware)
        unlabeled = then.pool_of(number).unlabeled
        n = then.config.per_round + _ahead(then)
        images = images_of(then, dataset).train.images
        whole = yield from score_images(
            network, images, then.config.strategy, unlabeled, n, hardware
        )
        probs, embeddings = whole.probs.numpy(), whole.embeddings.numpy()
        predictions = PoolPredictions(number, probs, embeddings, record.log_position)
    with suppress(FileNotWritten):  # then they are computed again next time
        save_predictions(experiment.folder, predictions)
    return predictions.by_classes_of(experiment)


def _train_again(
    then: Experiment, number: int, dataset: Dataset, hardware: Hardware, temperature: float
) -> Work[None]:
    """Train the network of a round whose weights are elsewhere; once, however many ask for it."""
    weights = weights_path(then.folder, number)
    lock = yield from wait_for_lock(weights.with_suffix(".lock"))
    with held(lock):
        if not weights.exists():
            outcome, _ = yield from train(then, number, dataset, hardware, temperature)
            assert outcome.network is not None
            save_network(outcome.network, weights)


def refit(
    store: Store, experiment_id: int, dataset: Dataset, hardware: Hardware, so_far: bool = False
) -> Work[None]:
    """Fit a head to all labels so far, with those of the open batch, and choose the next batch.

    For experiments with a linear head, while somebody labels, so that the next batch is ready when
    they are. Nothing is written to the log; the round itself trains on all labels. ``so_far`` as in
    :func:`advance`.
    """
    experiment = _opened(store, experiment_id, so_far)
    number = experiment.next_round
    if experiment.config.model.head != "linear" or not experiment.can_train:
        return
    _, predictions = yield from train(experiment, number, dataset, hardware)
    save_predictions(experiment.folder, predictions)
    yield Progress("Choosing", 0, 0, "", 0)
    batch = choose_by(predictions, experiment, number + 1, hardware)
    if batch is not None:
        save_ready(experiment.folder, batch)


def choose_batch(
    experiment: Experiment, number: int, dataset: Dataset, hardware: Hardware
) -> Work[Batch | None]:
    """A batch of round ``number``, chosen by the latest model, without images of open batches."""
    ready = load_ready(experiment.folder, number)
    if ready is not None and still_holds(ready, experiment):
        return ready
    predictions = yield from latest_predictions(experiment, dataset, hardware)
    yield Progress("Choosing", 0, 0, "", 0)
    return choose_by(predictions, experiment, number, hardware)
