"""The desk and the simulation are one loop: the same log gives the same batches and models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from squares import CPU, config, of_squares

from al_core.config import ModelConfig
from al_core.experiment.experiment import Experiment, Phase, open_experiment
from al_core.experiment.leases import Holder, hand_in, take_new_batch
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.loop.advance import advance, choose_batch, refit
from al_core.progress import finish
from al_core.simulation.simulate import simulate, truth
from al_core.store.records import Annotation
from al_core.store.store import Store


def labelled_in_the_desk(store: Store, experiment: int, dataset: Dataset) -> None:
    """By the functions that the page calls, with somebody who answers one image at a time, and a
    head that is fit again in the middle of each batch."""

    def choose(opened: Experiment, number: int):
        return choose_batch(opened, number, dataset, CPU)

    while (opened := open_experiment(store, experiment)).phase is not Phase.FINISHED:
        if opened.phase is Phase.TRAINING:
            finish(advance(store, experiment, dataset, CPU))
            continue
        batch = finish(take_new_batch(store, experiment, Holder("tab", "ada"), choose))
        for rank, image in enumerate(batch.images):
            label = int(dataset.train.targets[image])
            store.append(experiment, [Annotation(image, label, batch.round, "ada")])
            if rank == len(batch.images) // 2:
                finish(refit(store, experiment, dataset, CPU))
        hand_in(store, experiment, batch)


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    dataset, rng = of_squares(), np.random.default_rng(0)
    rows = {
        name: (np.eye(3)[part.targets] + rng.normal(size=(len(part), 3))).astype(np.float16)
        for name, part in (("train", dataset.train), ("test", dataset.test))
    }
    path = tmp_path / "embeddings.npz"
    np.savez(path, **rows)
    return path


def cases() -> list:
    """All three by all, on a head; a network with each strategy, and with each who is first."""
    every = [
        pytest.param(who, "linear", strategy)
        for strategy in ("margin", "badge", "random")
        for who in ("truth", "person")
    ]
    trained = (("person", "margin"), ("truth", "badge"), ("truth", "random"))
    return every + [
        pytest.param(who, "fine-tune", strategy, marks=pytest.mark.slow)
        for who, strategy in trained
    ]


@pytest.mark.parametrize(("who", "head", "strategy"), cases())
def test_a_simulation_asks_what_the_desk_asks_to_the_last_bit(
    who: str,
    head: str,
    strategy: str,
    embeddings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AL_HOME", str(tmp_path / "home"))
    dataset = of_squares()
    settings = config(strategy=strategy, initial_labels=who, rounds=2)
    if head == "linear":
        model = ModelConfig(head="linear", embeddings=str(embeddings))
        settings = replace(settings, model=model)

    def played(play: Callable[[Store, int], object], name: str) -> Experiment:
        store = Store(f"sqlite:///{tmp_path / name / 'al.db'}")
        play(store, start_experiment(store, "mine", settings, dataset))
        return open_experiment(store, 1, with_reasons=True)

    desk = played(lambda store, one: labelled_in_the_desk(store, one, dataset), "desk")
    simulated = played(
        lambda store, one: list(simulate(store, one, dataset, truth(dataset), CPU)), "simulated"
    )
    assert len(desk.rounds) == 3
    assert [batch.images for batch in desk.batches] == [b.images for b in simulated.batches]
    assert [batch.scores for batch in desk.batches] == [b.scores for b in simulated.batches]
    assert [batch.reasons for batch in desk.batches] == [b.reasons for b in simulated.batches]
    for ours, theirs in zip(desk.rounds, simulated.rounds, strict=True):
        assert ours.metrics == theirs.metrics
        assert ours.history == theirs.history
        assert ours.temperature == theirs.temperature
