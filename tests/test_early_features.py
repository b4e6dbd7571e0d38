"""While a pool is still being embedded, what is there is labelled, learned from and measured."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from encoders import at, frozen
from hub import VIT, weights_of
from squares import CPU, config, label_batch, of_squares

from al_core.experiment.embedded import embedding_order
from al_core.experiment.experiment import SO_FAR, Experiment, open_experiment
from al_core.experiment.leases import Holder, take_new_batch
from al_core.experiment.predictions import load_measured, load_predictions
from al_core.experiment.settings import change_settings
from al_core.experiment.start import start_experiment
from al_core.experiment.undo import taken_back
from al_core.features.embed import embed_rows, features_folder
from al_core.images.dataset import Dataset
from al_core.loop.advance import advance, choose_batch, refit
from al_core.loop.embed_rest import embed_the_rest, rounds_to_measure
from al_core.loop.features import orders_of
from al_core.loop.measured_anew import measured_anew
from al_core.loop.replay import replay
from al_core.progress import finish
from al_core.store.records import Annotation, Batch
from al_core.store.store import Store


@pytest.fixture
def desk(home: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> "Desk":
    monkeypatch.setattr("al_core.features.embed.batch_size", lambda _: 8)
    monkeypatch.setattr("al_core.loop.cold_start.SOON", 0.0)
    monkeypatch.setattr("al_core.loop.features.SOON", 0.0)
    return Desk(weights)


class Desk:
    """An experiment whose images are embedded block by block, when a test says so."""

    def __init__(self, weights: Path, **how) -> None:
        settings = config(
            model=frozen(weights), image_size=16, initial_labels="person", start="typiclust", **how
        )
        self.dataset: Dataset = of_squares()
        self.encoder = at(weights, 16)
        self.number = start_experiment(Store(), "mine", settings, self.dataset)

    @property
    def now(self) -> Experiment:
        return open_experiment(Store(), self.number)

    def embed(self, blocks: int) -> None:
        orders, folder = orders_of(self.now, self.dataset), features_folder(self.encoder)
        work = embed_rows(self.dataset, self.encoder, CPU, folder, orders)
        assert len([*islice(work, blocks)]) == blocks
        work.close()

    def embed_all(self) -> None:
        finish(embed_the_rest(Store(), self.number, self.dataset, CPU))

    def batch(self) -> Batch:
        def choose(now: Experiment, number: int):
            return choose_batch(replace(now, embedded=SO_FAR), number, self.dataset, CPU)

        return finish(take_new_batch(Store(), self.number, Holder("tab", "ada"), choose))

    def label(self) -> None:
        label_batch(Store(), self.dataset, self.number)

    def train(self) -> None:
        finish(advance(Store(), self.number, self.dataset, CPU, so_far=True))


def test_a_batch_is_chosen_among_the_images_that_are_embedded_and_says_how_many_there_were(
    desk: Desk,
) -> None:
    desk.embed(8)  # of the pool four blocks of eight, and four to test with
    order = embedding_order(desk.now)
    first = desk.batch()
    assert first.strategy == "typiclust"
    assert first.log_position.embedded == 32
    assert {*first.images} <= {*order[:32].tolist()}
    desk.label()
    desk.train()
    (second,) = desk.now.open_batches
    assert {*second.images} <= {*order[:32].tolist()}
    assert desk.now.rounds[0].log_position.embedded == second.log_position.embedded == 32


def test_a_first_batch_is_drawn_at_random_while_there_is_too_little_to_choose_from(
    desk: Desk,
) -> None:
    desk.embed(1)
    first = desk.batch()
    assert (first.strategy, len(first.images), first.reasons) == ("random", 6, None)
    desk.label()
    desk.train()  # what was labelled is embedded for it
    assert desk.now.rounds[0].labeled == 6
    first_again, *_ = finish(replay(Store(), desk.number, desk.dataset, CPU))
    assert first_again.is_exact


def test_a_head_that_is_fit_again_sees_what_was_embedded_meanwhile(desk: Desk) -> None:
    desk.embed(8)
    desk.batch()
    desk.label()
    desk.train()
    desk.batch()
    desk.embed(2)  # all to test with are there, so both are of the pool
    finish(refit(Store(), desk.number, desk.dataset, CPU, so_far=True))
    desk.label()
    desk.train()
    third = desk.batch()
    assert third.log_position.embedded == 48


def test_an_image_whose_label_was_taken_back_before_it_was_embedded_waits_with_the_others(
    desk: Desk,
) -> None:
    desk.embed(8)
    later = int(embedding_order(desk.now)[40])
    desk.batch()
    given = Annotation(later, 1, 0, "ada")
    Store().append(desk.number, [given, taken_back(given, None)])
    desk.label()
    desk.train()
    assert not load_predictions(desk.now.folder, 0).known_to(desk.now)[later]


def test_batches_chosen_early_are_chosen_again_once_all_is_embedded(desk: Desk) -> None:
    desk.embed(8)
    for _ in range(3):
        desk.batch()
        desk.label()
        desk.train()
        desk.embed(1)
    early = [batch.log_position.embedded for batch in desk.now.batches]
    assert early[0] == 32
    assert None not in early[:2]
    desk.embed_all()
    replayed = finish(replay(Store(), desk.number, desk.dataset, CPU))
    assert [one.is_exact for one in replayed] == [True] * len(early)


def test_rounds_are_measured_by_what_is_there_and_again_by_all_test_images(desk: Desk) -> None:
    desk.embed(4)  # two blocks of eight of thirty to test with
    desk.batch()
    desk.label()
    desk.train()
    early = desk.now
    assert np.sum(early.rounds[0].metrics["confusion"]) == 16
    assert len(load_measured(early.folder, 0).images) == 16
    assert rounds_to_measure(early, desk.dataset) == [0]
    desk.embed_all()
    assert rounds_to_measure(desk.now, desk.dataset) == []
    later = measured_anew(desk.now, desk.dataset)
    assert np.sum(later.rounds[0].metrics["confusion"]) == 30
    (known,) = [later.as_of(later.rounds[0].log_position).embedded]
    assert known == 16  # the batch after it was chosen among those, whatever is there by now


def test_another_encoder_keeps_every_label_and_goes_on_with_them(
    desk: Desk, tmp_path: Path
) -> None:
    desk.embed(8)
    desk.batch()
    desk.label()
    desk.train()
    labels = desk.now.pool.answers
    tiny = tmp_path / "test_vit.safetensors"
    tiny.write_bytes(weights_of(VIT))
    now = desk.now
    change_settings(Store(), now, replace(now.config, model=frozen(tiny), image_size=None))
    desk.batch()
    desk.label()
    desk.train()
    assert desk.now.pool.answers.items() >= labels.items()
    assert desk.now.rounds[1].labeled == 10
    seen = load_predictions(desk.now.folder, 1)
    assert seen.embeddings.shape[1] == 64  # those of the other encoder
    desk.embed_all()
    assert [one.is_exact for one in finish(replay(Store(), desk.number, desk.dataset, CPU))] == [
        True, True, True
    ]  # fmt: skip
