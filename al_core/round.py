"""One round: train on the labels so far, evaluate, score the whole unlabelled pool, choose."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core import network as networks
from al_core.config import ExperimentConfig
from al_core.errors import WeightsError
from al_core.experiment import Experiment, check_images, open_experiment
from al_core.images import Dataset
from al_core.network import Hardware, Network
from al_core.pool import Pool
from al_core.predict import evaluate, for_inference, predict
from al_core.predictions import (
    PoolPredictions,
    drop_predictions_before,
    load_predictions,
    save_predictions,
)
from al_core.progress import Progress, Work
from al_core.query import choose
from al_core.schema import Batch, RoundRecord
from al_core.store import Store
from al_core.train import fit
from al_core.weights import imagenet_weights, load_network, save_network, weights_path


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a round gives: its record, the next batch (None: nothing is left), the network, and
    what it says of every training image."""

    record: RoundRecord
    batch: Batch | None
    network: Network
    said: PoolPredictions


def run_round(
    config: ExperimentConfig,
    number: int,
    pool: Pool,
    dataset: Dataset,
    hardware: Hardware,
    choosing: bool = True,
) -> Work[Outcome]:
    """Round ``number`` of an experiment, from its settings and its pool alone.

    The same settings, labels, number and machine give the same outcome, whatever ran before: each
    round starts from fresh weights and from a generator of its own.
    """
    generator = _generator(config.seed, number)
    images = _on_device(dataset.train.images, hardware)
    labeled, unlabeled = pool.labeled, pool.unlabeled
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
    y = torch.from_numpy(pool.labels).to(hardware.device)
    for report in fit(net, x, y, config.train, hardware, generator):
        if report.ends_epoch:
            history.append([report.epoch, report.loss, report.accuracy])
        yield report
    trained = time.perf_counter()

    fast = for_inference(net, hardware)
    metrics = None
    known = np.flatnonzero(dataset.test.targets >= 0)
    if len(known):
        test = yield from predict(fast, dataset.test.images, known, hardware, "Evaluating")
        targets = torch.from_numpy(dataset.test.targets[known])
        metrics = asdict(evaluate(test.probs, targets))
    evaluated = time.perf_counter()

    everything = np.arange(len(images), dtype=np.int64)
    whole = yield from predict(fast, images, everything, hardware, "Scoring")
    said = PoolPredictions(number, whole.probs.numpy(), whole.embeddings.numpy())
    scored = time.perf_counter()

    batch = None
    if choosing:
        yield Progress("Choosing", 0, len(unlabeled), "images", 0)
        batch = choose(config, number + 1, said, unlabeled, labeled, generator)
    chosen = time.perf_counter()

    record = RoundRecord(
        round=number,
        labeled=len(labeled),
        metrics=metrics,
        history=history,
        train_seconds=trained - started,
        evaluate_seconds=evaluated - trained,
        score_seconds=scored - evaluated,
        select_seconds=chosen - scored,
        images_scored=len(unlabeled),
    )
    return Outcome(record, batch, net, said)


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
        choosing=False,
    )
    yield Progress("Saving", 0, 0, "", 0)
    save_network(outcome.network, weights_path(experiment_id, number))
    save_predictions(experiment_id, outcome.said)
    compared, disagreed, shown = experiment.disagreement(number)

    yield Progress("Choosing", 0, outcome.record.images_scored, "images", 0)
    experiment = open_experiment(store, experiment_id)  # the person labelled meanwhile
    started = time.perf_counter()
    batch = None
    if all(batch.round <= number for batch in experiment.batches):
        batch = _choose_next(experiment, number + 1, outcome.said)
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

    Raises WeightsError where neither is there; the next round writes both.
    """
    number = experiment.next_round - 1
    said = load_predictions(experiment.id, number)
    if said is None or said.probs.shape != (len(dataset.train), len(experiment.config.class_names)):
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
    return _choose_next(experiment, number, said)


def _choose_next(experiment: Experiment, number: int, said: PoolPredictions) -> Batch | None:
    generator = _generator(experiment.config.seed, number, len(experiment.batches))
    labeled = experiment.pool.labeled
    return choose(experiment.config, number, said, experiment.free_images, labeled, generator)


def _generator(*seed: int) -> torch.Generator:
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
