"""One round: train on the labels so far, evaluate, score every image, choose."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core import network as networks
from al_core.config import ExperimentConfig
from al_core.errors import WeightsError
from al_core.experiment import Experiment, check_images, mix, open_experiment
from al_core.features import Features, untrained_embeddings
from al_core.heads import cross_validate, fit_heads
from al_core.images import Dataset
from al_core.network import Hardware, Network
from al_core.pool import Pool
from al_core.predict import evaluate, for_inference, predict
from al_core.predictions import (
    BEFORE,
    PoolPredictions,
    drop_predictions_before,
    load_predictions,
    save_predictions,
    save_test_predictions,
)
from al_core.progress import Progress, Work
from al_core.query import choose, explained
from al_core.schema import Batch, RoundRecord
from al_core.store import Store
from al_core.train import fit
from al_core.weights import imagenet_weights, load_network, save_network, weights_path


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a round gives: its record, the network (None for a head on embeddings), what it says of
    every training image (None if it was not asked), and of the test images whose truth is known,
    ``[M,C]`` (None if there are none)."""

    record: RoundRecord
    network: Network | None
    said: PoolPredictions | None
    test_probs: NDArray[np.float32] | None


def run_round(
    config: ExperimentConfig,
    number: int,
    pool: Pool,
    dataset: Dataset,
    hardware: Hardware,
    at_random: Collection[int] = (),
    scoring: bool = True,
) -> Work[Outcome]:
    """Round ``number`` of an experiment, from its settings and its pool alone.

    The same settings, labels, number and machine give the same outcome, whatever ran before: each
    round starts from fresh weights and from a generator of its own. It trains on every label but
    those of the images ``at_random``, which measure it where there is no test set. Without
    ``scoring`` the pool is not looked at.
    """
    generator = round_generator(config.seed, number)
    images = _on_device(dataset.train.images, hardware)
    labeled, labels = _to_train_on(pool, at_random)
    pretrained = None
    if config.model.weights == "imagenet":
        pretrained = yield from imagenet_weights()
    net = networks.build(
        len(config.class_names),
        config.model.stem,
        hardware,
        dataset.train.images,
        generator,
        pretrained,
    )

    started = time.perf_counter()
    history = []
    x = torch.as_tensor(images[labeled]).to(hardware.device)
    y = torch.from_numpy(labels).to(hardware.device)
    for report in fit(net, x, y, config.train, hardware, generator):
        if report.ends_epoch:
            history.append([report.epoch, report.loss, report.accuracy])
        yield report
    trained = time.perf_counter()

    fast = for_inference(net, hardware)
    test_probs = None
    known = np.flatnonzero(dataset.test.targets >= 0)
    if len(known):
        test = yield from predict(fast, dataset.test.images, known, hardware, "Evaluating")
        test_probs = test.probs.numpy()
    evaluated = time.perf_counter()

    said = None
    if scoring:
        everything = np.arange(len(images), dtype=np.int64)
        whole = yield from predict(fast, images, everything, hardware, "Scoring")
        said = PoolPredictions(number, whole.probs.numpy(), whole.embeddings.numpy())
    scored = time.perf_counter()

    record = RoundRecord(
        round=number,
        labeled=len(pool.labeled),
        metrics=_measure(dataset, test_probs, said, pool, at_random),
        history=history,
        train_seconds=trained - started,
        evaluate_seconds=evaluated - trained,
        score_seconds=scored - evaluated,
        select_seconds=0,
        images_scored=len(pool.unlabeled) if scoring else 0,
    )
    return Outcome(record, net, said, test_probs)


def run_head_round(
    config: ExperimentConfig, number: int, pool: Pool, dataset: Dataset, features: Features
) -> Work[Outcome]:
    """Like :func:`run_round`, with a linear head on frozen ``features`` instead of a network.

    Its penalty is chosen by cross-validation on the labels; the test set is not read for it.
    """
    generator = round_generator(config.seed, number)
    labeled, labels = _to_train_on(pool)
    classes = len(config.class_names)
    started = time.perf_counter()
    yield Progress("Training", 0, 0, "", 0)
    x, y = torch.from_numpy(features.train[labeled]), torch.from_numpy(labels)
    penalty = cross_validate(x, y, classes, generator).penalty
    head = fit_heads(x, y, classes, torch.ones(1, len(y)), torch.tensor([penalty]))
    trained = time.perf_counter()

    yield Progress("Scoring", 0, 0, "", 0)
    test_probs = None
    known = np.flatnonzero(dataset.test.targets >= 0)
    if len(known):
        test = torch.from_numpy(features.test[known])
        test_probs = head.logits(test)[0].softmax(1).numpy()
    evaluated = time.perf_counter()
    probs = head.logits(torch.from_numpy(features.train))[0].softmax(1).numpy()
    said = PoolPredictions(number, probs, features.train)
    scored = time.perf_counter()

    record = RoundRecord(
        round=number,
        labeled=len(pool.labeled),
        metrics=_measure(dataset, test_probs, said, pool, ()),
        history=[],
        train_seconds=trained - started,
        evaluate_seconds=evaluated - trained,
        score_seconds=scored - evaluated,
        select_seconds=0,
        images_scored=len(pool.unlabeled),
    )
    return Outcome(record, None, said, test_probs)


def _to_train_on(
    pool: Pool, at_random: Collection[int] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions and labels of what is labelled, without the images that measure."""
    kept = ~np.isin(pool.labeled, list(at_random))
    return pool.labeled[kept], pool.labels[kept]


def _measure(
    dataset: Dataset,
    test_probs: NDArray[np.float32] | None,
    said: PoolPredictions | None,
    pool: Pool,
    at_random: Collection[int],
) -> dict[str, Any] | None:
    """How right a model is on the test set, else on the images drawn at random that have a label;
    None where there is neither."""
    if test_probs is not None:
        targets = dataset.test.targets[dataset.test.targets >= 0]
        return asdict(evaluate(torch.from_numpy(test_probs), torch.from_numpy(targets))) | {
            "on": "test"
        }
    drawn = np.isin(pool.labeled, list(at_random))
    if said is None or not drawn.any():
        return None
    probs = torch.from_numpy(said.probs[pool.labeled[drawn]])
    return asdict(evaluate(probs, torch.from_numpy(pool.labels[drawn]))) | {"on": "random"}


def advance(store: Store, experiment_id: int, dataset: Dataset, hardware: Hardware) -> Work[None]:
    """Run the round an experiment waits for, and write its weights and its record to the log.

    It chooses the batch of the next round too, unless somebody labels that one already. Stopped
    anywhere before the end, nothing is written, and the round starts again cleanly.
    """
    experiment = open_experiment(store, experiment_id, with_reasons=True)
    check_images(experiment, dataset)
    number = experiment.next_round
    outcome = yield from run_round(
        experiment.config,
        number,
        experiment.pool_of(number),
        dataset,
        hardware,
        experiment.at_random,
    )
    assert outcome.network is not None
    assert outcome.said is not None
    yield Progress("Saving", 0, 0, "", 0)
    save_network(outcome.network, weights_path(experiment_id, number))
    save_predictions(experiment_id, outcome.said)
    if outcome.test_probs is not None:
        save_test_predictions(experiment_id, number, outcome.test_probs)
    compared, disagreed, shown = experiment.disagreement(number)

    yield Progress("Choosing", 0, outcome.record.images_scored, "images", 0)
    experiment = open_experiment(store, experiment_id)  # the person labelled meanwhile
    started = time.perf_counter()
    batch = None
    if all(batch.round <= number for batch in experiment.batches):
        batch = _choose_next(experiment, number + 1, outcome.said, hardware)
    record = replace(
        outcome.record,
        select_seconds=time.perf_counter() - started,
        compared=compared,
        disagreed=disagreed,
        guesses_shown=shown,
    )
    store.add_round(experiment_id, record, batch, place=len(experiment.batches))
    drop_predictions_before(experiment_id, number)


def latest_predictions(
    experiment: Experiment, dataset: Dataset, hardware: Hardware
) -> Work[PoolPredictions]:
    """What the latest network says of every training image: from disk, else from the network.

    Before the first round nothing is likelier than anything else, but images have embeddings.
    Raises WeightsError where neither is there; the next round writes both.
    """
    number = experiment.next_round - 1
    classes = len(experiment.config.class_names)
    if number == BEFORE:
        embeddings = yield from untrained_embeddings(experiment.config.model, dataset, hardware)
        even = np.full((len(dataset.train), classes), 1 / classes, dtype=np.float32)
        return PoolPredictions(BEFORE, even, embeddings)
    said = load_predictions(experiment.id, number)
    if said is None or said.probs.shape != (len(dataset.train), classes):
        network = for_inference(
            load_network(weights_path(experiment.id, number), hardware), hardware
        )
        everything = np.arange(len(dataset.train), dtype=np.int64)
        images = dataset.train.images
        whole = yield from predict(network, images, everything, hardware, "Scoring")
        said = PoolPredictions(number, whole.probs.numpy(), whole.embeddings.numpy())
        with suppress(WeightsError):  # then it is computed again the next time
            save_predictions(experiment.id, said)
    return said


def choose_batch(
    experiment: Experiment, number: int, dataset: Dataset, hardware: Hardware
) -> Work[Batch | None]:
    """A batch of round ``number``, chosen by the latest network, apart from those that are open."""
    said = yield from latest_predictions(experiment, dataset, hardware)
    yield Progress("Choosing", 0, 0, "", 0)
    return _choose_next(experiment, number, said, hardware)


def _choose_next(
    experiment: Experiment, number: int, said: PoolPredictions, hardware: Hardware
) -> Batch | None:
    config, pool, free = experiment.config, experiment.pool, experiment.free_images
    strategy, count = config.strategy, config.per_round
    if number == 0:
        strategy, count = config.start, config.initial
    measuring = experiment.draw_to_measure(count)
    generator = round_generator(config.seed, number, len(experiment.batches))
    wanted = count - len(measuring)
    picks, score = choose(
        strategy, wanted, said, free, pool.labeled, pool.labels, generator, hardware.device
    )
    images = mix(picks.tolist(), measuring)
    if not images:
        return None
    batch = Batch(number, strategy, images, None, at_random=measuring or None)
    return explained(batch, said, free, pool.labeled, score)


def round_generator(*seed: int) -> torch.Generator:
    """A CPU generator for one seed and round, unlike that of any other."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def _on_device(images: NDArray[np.uint8], hardware: Hardware) -> NDArray[np.uint8] | Tensor:
    """The images as one uint8 tensor on the GPU where they fit, else as they are, in memory."""
    if hardware.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(hardware.device)
        if images.nbytes < free / 2:
            return torch.from_numpy(np.ascontiguousarray(images)).to(hardware.device)
    return images
