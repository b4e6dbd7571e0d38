"""One round: train on the labels so far, evaluate, score the whole unlabelled pool, choose."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core import network as networks
from al_core.config import ExperimentConfig
from al_core.experiment import check_images, open_experiment
from al_core.images import Dataset
from al_core.network import Hardware, Network
from al_core.pool import Pool
from al_core.predict import evaluate, for_inference, predict
from al_core.progress import Progress, Work
from al_core.schema import Batch, RoundRecord
from al_core.store import Store
from al_core.strategies import SCORES, STRATEGIES, Candidates
from al_core.train import fit
from al_core.weights import imagenet_weights, save_network, weights_path


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a round gives: its record, the next batch (None: nothing is left), the network."""

    record: RoundRecord
    batch: Batch | None
    network: Network


def run_round(
    config: ExperimentConfig, number: int, pool: Pool, dataset: Dataset, hardware: Hardware
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

    pool_said = yield from predict(fast, images, unlabeled, hardware, "Scoring")
    labeled_said = yield from predict(fast, images, labeled, hardware, "Embedding the labelled")
    candidates = Candidates(pool_said.probs, pool_said.embeddings, labeled_said.embeddings)
    scored = time.perf_counter()

    yield Progress("Choosing", 0, len(unlabeled), "images", 0)
    batch = _choose(config, number + 1, unlabeled, candidates, generator)
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
        images_scored=len(candidates.probs),
    )
    return Outcome(record, batch, net)


def advance(store: Store, experiment_id: int, dataset: Dataset, hardware: Hardware) -> Work[None]:
    """Run the round an experiment waits for, and write its weights and its record to the log.

    Stopped anywhere before the end, nothing is written, and the round starts again cleanly.
    """
    experiment = open_experiment(store, experiment_id)
    check_images(experiment, dataset)
    number = len(experiment.rounds)
    outcome = yield from run_round(experiment.config, number, experiment.pool, dataset, hardware)
    yield Progress("Saving", 0, 0, "", 0)
    save_network(outcome.network, weights_path(experiment_id, number))
    store.add_round(experiment_id, outcome.record, outcome.batch)


def _choose(
    config: ExperimentConfig,
    number: int,
    unlabeled: NDArray[np.int64],
    candidates: Candidates,
    generator: torch.Generator,
) -> Batch | None:
    """The batch of round ``number``: as many images as asked for, or as are left."""
    n = min(config.per_round, len(unlabeled))
    if n == 0:
        return None
    picks = STRATEGIES[config.strategy](candidates, n, generator).cpu()
    score = SCORES.get(config.strategy)
    scores = None if score is None else score(candidates.probs[picks]).tolist()
    return Batch(number, config.strategy, unlabeled[picks.numpy()].tolist(), scores)


def _generator(seed: int, number: int) -> torch.Generator:
    """A CPU generator for one round, unlike that of any other seed or round."""
    state = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def _on_device(images: NDArray[np.uint8], hardware: Hardware) -> NDArray[np.uint8] | Tensor:
    """The images as one uint8 tensor on the GPU where they fit, else as they are, in memory."""
    if hardware.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(hardware.device)
        if images.nbytes < free / 2:
            return torch.from_numpy(np.ascontiguousarray(images)).to(hardware.device)
    return images
