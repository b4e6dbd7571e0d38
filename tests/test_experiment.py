"""One experiment from its start to its end, on sixty coloured squares and a small network."""

from dataclasses import replace
from itertools import cycle
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from squares import CPU, QUICK, config, label_batch, of_squares, squares, train

from al_core.errors import ConfigError, SourceError
from al_core.experiment.experiment import Phase, open_experiment
from al_core.experiment.leases import hand_in
from al_core.experiment.settings import add_rounds
from al_core.experiment.source import images_of
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset, ImageSet
from al_core.jobs import Job
from al_core.loop.advance import advance
from al_core.loop.learners import RoundTask
from al_core.loop.round import run_round
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.metrics import evaluate
from al_core.models.prediction import predict
from al_core.models.weights import load_network, weights_path
from al_core.progress import finish
from al_core.store.records import TRUTH, Annotation
from al_core.store.store import Store


@pytest.fixture
def dataset() -> Dataset:
    return of_squares()


def test_an_experiment_trains_and_asks_in_turn_and_then_is_finished(
    store: Store, dataset: Dataset
) -> None:
    experiment = start_experiment(store, "mine", config(), dataset)
    for number in range(3):
        now = open_experiment(store, experiment)
        assert now.phase is Phase.TRAINING
        assert len(now.pool.labeled) == 6 + 4 * number
        train(store, dataset, experiment)
        if number < 2:
            assert open_experiment(store, experiment).phase is Phase.LABELLING
            label_batch(store, dataset, experiment)
    done = open_experiment(store, experiment)
    assert done.phase is Phase.FINISHED
    assert [r.labeled for r in done.rounds] == [6, 10, 14]
    assert [r.images_scored for r in done.rounds] == [54, 50, 46]
    assert all(0 <= r.metrics["accuracy"] <= 1 for r in done.rounds)


def test_a_network_is_as_sure_as_it_is_right_by_what_is_known_before_it_is_measured(
    store: Store, dataset: Dataset
) -> None:
    rng = np.random.default_rng(1)

    def with_errors(images: ImageSet) -> ImageSet:
        wrong = rng.random(len(images)) < 0.4
        return replace(
            images, targets=np.where(wrong, rng.integers(0, 3, len(images)), images.targets)
        )

    noisy = replace(dataset, train=with_errors(dataset.train), test=with_errors(dataset.test))
    train_long = replace(QUICK, min_steps=40, batch_size=64)
    settings = config(initial=42, per_round=9, train=train_long)
    experiment = start_experiment(store, "mine", settings, noisy)
    for number in range(2):
        train(store, noisy, experiment)
        record = open_experiment(store, experiment).rounds[-1]
        assert record.calibrated_by == ("earlier hold-out" if number else "hold-out")
        assert record.temperature > 1
        # What is kept on disk is calibrated as well.
        network = load_network(weights_path(store.folder(experiment), number), CPU)
        said = predict(InferenceNetwork(network, CPU), noisy.test.images, np.arange(30), CPU, "")
        probs, truth = finish(said).probs, torch.from_numpy(noisy.test.targets)
        assert evaluate(probs, truth).nll == pytest.approx(record.metrics["nll"], abs=1e-4)
        before = (probs.log() * record.temperature).softmax(1)
        assert evaluate(before, truth).nll > record.metrics["nll"]
        label_batch(store, noisy, experiment)


def test_a_finished_experiment_can_go_on_with_the_batch_its_last_round_chose(
    store: Store, dataset: Dataset
) -> None:
    experiment = start_experiment(store, "mine", config(rounds=0), dataset)
    train(store, dataset, experiment)
    assert open_experiment(store, experiment).phase is Phase.FINISHED
    add_rounds(store, open_experiment(store, experiment), 1)
    assert open_experiment(store, experiment).phase is Phase.LABELLING
    label_batch(store, dataset, experiment)
    train(store, dataset, experiment)
    assert open_experiment(store, experiment).phase is Phase.FINISHED


def test_the_initial_images_are_labelled_by_the_truth_or_handed_to_the_person(
    store: Store, dataset: Dataset
) -> None:
    by_truth = open_experiment(store, start_experiment(store, "a", config(), dataset))
    assert {a.annotator for a in by_truth.annotations} == {TRUTH}
    assert by_truth.pool.labels.tolist() == dataset.train.targets[by_truth.pool.labeled].tolist()

    by_person = open_experiment(
        store, start_experiment(store, "b", config(initial_labels="person"), dataset)
    )
    assert by_person.annotations == ()
    assert by_person.phase is Phase.LABELLING
    assert sorted(by_person.open_batch.images) == by_truth.pool.labeled.tolist()


def test_skipped_images_are_never_trained_on_nor_asked_again(
    store: Store, dataset: Dataset
) -> None:
    experiment = start_experiment(store, "mine", config(), dataset)
    train(store, dataset, experiment)
    skipped = open_experiment(store, experiment).open_batch.images[:2]
    label_batch(store, dataset, experiment, skip=2)
    train(store, dataset, experiment)
    after = open_experiment(store, experiment)
    assert after.rounds[1].labeled == 8
    assert after.rounds[1].images_scored == 50
    assert not set(skipped) & set(after.open_batch.images)


def test_a_batch_with_an_open_image_cannot_be_handed_in(store: Store, dataset: Dataset) -> None:
    experiment = start_experiment(store, "mine", config(), dataset)
    train(store, dataset, experiment)
    batch = open_experiment(store, experiment).open_batch
    store.append(experiment, [Annotation(i, 0, 1, "ada") for i in batch.images[1:]])
    with pytest.raises(ConfigError, match=r"Neither labelled nor skipped in this batch: 1\."):
        hand_in(store, experiment, batch)
    assert open_experiment(store, experiment).phase is Phase.LABELLING


@pytest.mark.parametrize("answer", [0, None])
def test_answers_too_few_to_train_on_are_followed_by_more_random_images(
    store: Store, dataset: Dataset, answer: int | None
) -> None:
    experiment = start_experiment(store, "mine", config(initial_labels="person"), dataset)
    batch = open_experiment(store, experiment).open_batch
    store.append(experiment, [Annotation(i, answer, 0, "ada") for i in batch.images])
    hand_in(store, experiment, batch)
    hand_in(store, experiment, batch)
    after = open_experiment(store, experiment)
    assert (after.phase, len(after.batches)) == (Phase.LABELLING, 2)
    further = after.open_batch
    assert (further.round, len(further.images)) == (0, 6)
    assert not set(further.images) & set(batch.images)
    label_batch(store, dataset, experiment)
    assert open_experiment(store, experiment).phase is Phase.TRAINING


def test_a_training_that_diverges_says_so(
    store: Store, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = run_round_of(store, dataset, start_experiment(store, "mine", config(), dataset))
    monkeypatch.setattr(
        "torch.nn.functional.cross_entropy", lambda logits, *_: logits.sum() * float("nan")
    )
    with pytest.raises(ConfigError, match="lower learning rate"):
        finish(work)


def test_a_round_that_is_stopped_or_fails_leaves_nothing_and_starts_again_the_same(
    store: Store, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = start_experiment(store, "never stopped", config(), dataset)
    reports = list(advance(store, straight, dataset, CPU))
    experiment = start_experiment(store, "mine", config(), dataset)
    for stop_after in range(1, len(reports) + 1):
        work = advance(store, experiment, dataset, CPU)
        for _ in range(stop_after):
            next(work)
        work.close()
        assert open_experiment(store, experiment).rounds == ()
    parts = (
        *("learners.fit", "learners.predict", "learners.score_images", "round.evaluate"),
        *("advance.save_network", "advance.save_predictions", "next_batch.choose"),
    )
    for part, error, said in zip(
        parts,
        cycle((MemoryError(), OSError(28, "No space left"), ValueError("a surprise"))),
        cycle(("not enough memory", "No space left", "a surprise")),
        strict=False,
    ):
        with monkeypatch.context() as broken:
            broken.setattr(f"al_core.loop.{part}", Mock(side_effect=error))
            job = Job("round", lambda: advance(store, experiment, dataset, CPU))
            job.run()
        assert said in job.error
        assert open_experiment(store, experiment).phase is Phase.TRAINING
        assert open_experiment(store, experiment).rounds == ()
    train(store, dataset, experiment)
    mine, other = open_experiment(store, experiment), open_experiment(store, straight)
    assert mine.rounds[0].metrics == other.rounds[0].metrics
    assert mine.open_batch.images == other.open_batch.images


def test_a_round_is_written_as_soon_as_the_database_is_there(
    store: Store, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = start_experiment(store, "mine", config(), dataset)
    database, elsewhere = tmp_path / "al.db", tmp_path / "elsewhere.db"
    write = store.add_round

    def write_to_nothing(*args, **kwargs) -> None:
        database.rename(elsewhere)
        monkeypatch.setattr(store, "add_round", write)
        write(*args, **kwargs)

    monkeypatch.setattr(store, "add_round", write_to_nothing)
    for report in advance(store, experiment, dataset, CPU):
        if "has disappeared" in report.phase:
            elsewhere.rename(database)
    assert len(open_experiment(store, experiment).rounds) == 1
    assert not elsewhere.exists()


def run_round_of(store: Store, dataset: Dataset, experiment: int):
    opened = open_experiment(store, experiment)
    return run_round(RoundTask(opened.config, 0, opened.pool, dataset), CPU)


def test_another_seed_gives_another_experiment(store: Store, dataset: Dataset) -> None:
    one = open_experiment(store, start_experiment(store, "a", config(seed=1), dataset))
    two = open_experiment(store, start_experiment(store, "b", config(seed=2), dataset))
    assert one.pool.labeled.tolist() != two.pool.labeled.tolist()


def test_randomness_outside_is_neither_used_nor_changed(store: Store, dataset: Dataset) -> None:
    experiment = start_experiment(store, "mine", config(), dataset)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = finish(run_round_of(store, dataset, experiment)).record.metrics
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert finish(run_round_of(store, dataset, experiment)).record.metrics == first


def test_the_saved_network_says_what_the_trained_one_said(store: Store, dataset: Dataset) -> None:
    experiment = start_experiment(store, "mine", config(), dataset)
    trained = finish(run_round_of(store, dataset, experiment)).network
    train(store, dataset, experiment)
    saved = load_network(weights_path(store.folder(experiment), 0), CPU)
    rows = np.arange(len(dataset.test))
    probs = [
        finish(predict(InferenceNetwork(network, CPU), dataset.test.images, rows, CPU, "")).probs
        for network in (trained, saved)
    ]
    assert torch.equal(*probs)


def test_an_experiment_is_not_opened_on_other_images(store: Store, dataset: Dataset) -> None:
    experiment = open_experiment(store, start_experiment(store, "mine", config(), dataset))
    assert images_of(experiment, dataset) is dataset
    with pytest.raises(SourceError, match="not the ones"):
        images_of(experiment, replace(dataset, fingerprint="beef"))
    with pytest.raises(SourceError):
        train(store, replace(dataset, fingerprint="beef"), experiment.id)


def test_images_without_a_test_set_give_a_curve_without_accuracy(
    store: Store, dataset: Dataset
) -> None:
    untested = replace(dataset, test=squares(0))
    experiment = start_experiment(store, "mine", config(), untested)
    train(store, untested, experiment)
    assert open_experiment(store, experiment).rounds[0].metrics is None


def test_images_without_truth_ask_for_class_names_and_for_a_person(
    store: Store, dataset: Dataset
) -> None:
    unknown = replace(dataset.train, targets=np.full(60, -1), class_names=())
    nameless = replace(dataset, train=unknown, test=squares(0))
    with pytest.raises(ConfigError, match="at least two classes"):
        start_experiment(store, "a", config(initial_labels="person"), nameless)
    with pytest.raises(ConfigError, match="No truth is known"):
        start_experiment(store, "b", config(class_names=("x", "y")), nameless)
    named = config(initial_labels="person", class_names=("x", "y"))
    experiment = open_experiment(store, start_experiment(store, "c", named, nameless))
    assert experiment.config.class_names == ("x", "y")
    assert experiment.phase is Phase.LABELLING


def test_settings_that_ask_for_more_than_there_is_are_refused_and_nothing_is_written(
    store: Store, dataset: Dataset
) -> None:
    with pytest.raises(ConfigError, match=r"ask for 62 images .* only 60"):
        start_experiment(store, "mine", config(per_round=28), dataset)
    assert store.experiments() == []
