"""Images that measure the model where no test image has a known truth, and the first batch that a
strategy chooses without labels."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from squares import CPU, config, label_batch, of_squares, squares, train

from al_core.errors import ConfigError
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.leases import Holder, take_new_batch
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import PoolPredictions
from al_core.experiment.start import initial_images, reserved_images, start_experiment
from al_core.images.dataset import Dataset
from al_core.loop.advance import choose_batch
from al_core.loop.learners import RoundTask
from al_core.loop.query import Choice, choose
from al_core.loop.round import run_round
from al_core.progress import finish
from al_core.store.records import Batch
from al_core.store.store import Store

BY_HAND = config(initial=12, per_round=10, initial_labels="person", held_out_share=0.2)


@pytest.fixture
def unmeasured() -> Dataset:
    """Squares without a test set."""
    return replace(of_squares(), test=squares(0))


def asked(experiment: Experiment, dataset: Dataset) -> Batch:
    """The batch that somebody gets now, chosen if need be."""

    def choose(now: Experiment, number: int):
        return choose_batch(now, number, dataset, CPU)

    store = Store()
    taken = finish(
        take_new_batch(store, experiment.id, Holder("ada", "ada"), choose, lambda _: True)
    )
    assert taken is not None
    return taken


def test_without_a_test_set_random_images_measure_and_are_never_trained_on(
    store: Store, unmeasured: Dataset
) -> None:
    experiment = start_experiment(store, "mine", BY_HAND, unmeasured)
    aside = open_experiment(store, experiment).reserved
    assert len(aside) == 12
    drawn = []
    for number in range(3):
        now = open_experiment(store, experiment)
        batch = now.batches[-1]
        assert set(batch.held_out) == set(batch.images) & set(aside)
        assert len(batch.held_out) == 2
        drawn += batch.held_out
        label_batch(store, unmeasured, experiment)
        train(store, unmeasured, experiment)
        record = open_experiment(store, experiment).rounds[-1]
        assert record.labeled == 12 + 10 * number
        assert (record.metrics["on"], record.metrics["images"]) == ("random", 2 + 2 * number)
        low, high = record.metrics["interval"]
        assert low <= record.metrics["accuracy"] <= high
    assert drawn == aside[:6]

    # The round's own words: a wrong label on an image that measures changes no weight.
    now = open_experiment(store, experiment)
    outcomes = [
        finish(run_round(RoundTask(now.config, 2, pool, unmeasured, held_out=now.held_out), CPU))
        for pool in (now.pool, _spoilt(now, aside[0]))
    ]
    ours, theirs = (outcome.network.state_dict() for outcome in outcomes)
    assert all((ours[name] == theirs[name]).all() for name in ours)
    assert outcomes[0].record.metrics != outcomes[1].record.metrics


def test_nothing_is_chosen_by_the_labels_that_measure(
    store: Store, unmeasured: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = start_experiment(store, "mine", BY_HAND, unmeasured)
    label_batch(store, unmeasured, experiment)
    known = []

    def watched(choice: Choice, predictions: PoolPredictions, pool: Pool, *rest: object):
        known.append(set(pool.labeled.tolist()))
        return choose(choice, predictions, pool, *rest)

    monkeypatch.setattr("al_core.loop.next_batch.choose", watched)
    train(store, unmeasured, experiment)
    now = open_experiment(store, experiment)
    assert known == [set(now.pool.labeled.tolist()) - now.held_out]
    assert not any(now.held_out.intersection(near) for near in now.batches[-1].reasons.nearest)


def _spoilt(experiment: Experiment, image: int):
    pool = experiment.pool
    answer = pool.answers[image]
    wrong = replace(answer, label=(answer.label + 1) % 3)
    return replace(pool, answers={**pool.answers, image: wrong})


def test_with_a_test_set_nothing_is_reserved(store: Store) -> None:
    dataset = of_squares()
    experiment = start_experiment(store, "mine", BY_HAND, dataset)
    now = open_experiment(store, experiment)
    assert now.config.held_out_share == 0
    assert now.reserved == []
    label_batch(store, dataset, experiment)
    train(store, dataset, experiment)
    record = open_experiment(store, experiment).rounds[0]
    assert (record.metrics["on"], record.metrics["images"]) == ("test", 30)


@given(size=st.integers(20, 400), share=st.floats(0, 0.5), seed=st.integers(0, 99))
def test_what_is_reserved_is_apart_from_what_the_start_draws(
    size: int, share: float, seed: int
) -> None:
    settings = config(held_out_share=share, seed=seed, initial=10)
    aside = reserved_images(settings, size)
    assert len(aside) == len(set(aside)) == int(share * size)
    assert not set(aside) & set(initial_images(settings, size).tolist())


def test_a_measured_share_is_as_right_as_the_whole_pool_on_average() -> None:
    right = np.arange(1000) < 700  # what some model gets right
    shares = [
        right[reserved_images(config(held_out_share=0.1, seed=seed), 1000)].mean()
        for seed in range(200)
    ]
    assert abs(np.mean(shares) - 0.7) < 4 * np.std(shares) / len(shares) ** 0.5


@pytest.mark.parametrize("start", ["typiclust", "maxherding", "probcover", "k_center", "uherding"])
def test_the_first_batch_may_come_from_a_strategy_that_needs_no_labels(
    store: Store, start: str
) -> None:
    dataset = of_squares()
    settings = config(initial=6, initial_labels="person", start=start)
    experiment = start_experiment(store, start, settings, dataset)
    now = open_experiment(store, experiment)
    assert (now.phase, now.batches) == (Phase.LABELLING, ())
    batch = asked(now, dataset)
    assert (batch.round, batch.strategy, batch.model) == (0, start, None)
    assert len(set(batch.images)) == 6
    if start != "k_center":  # which goes to the edges
        assert len({int(dataset.train.targets[i]) for i in batch.images}) == 3
    label_batch(store, dataset, experiment)
    train(store, dataset, experiment)
    assert open_experiment(store, experiment).next_round == 1


def test_a_start_by_a_strategy_that_needs_labels_or_by_the_truth_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="no strategy to start with “margin”"):
        config(start="margin")
    with pytest.raises(ConfigError, match="labelled by you"):
        start_experiment(store, "mine", config(start="typiclust"), of_squares())
