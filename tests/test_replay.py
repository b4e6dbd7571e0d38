"""A log replayed: every batch is chosen again as it was, to the last bit."""

import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from play import Play
from sqlalchemy import create_engine, text
from squares import CPU, QUICK, config, label_batch, of_squares, squares, train
from tiny import folder_of

from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
from al_core.errors import StoreError
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.leases import Holder, take_new_batch
from al_core.experiment.predictions import load_predictions
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.loop.advance import advance, choose_batch, latest_predictions
from al_core.loop.replay import Replayed, replay, summed_up
from al_core.models.hardware import find_hardware
from al_core.models.learned_weights import learned_path
from al_core.progress import finish
from al_core.store.store import Store

# Those that look at what the model says, not only at embeddings, which may be frozen.
STRATEGIES = ("least_confidence", "entropy", "badge", "bald", "uherding")


def model_of(head: str, weights: Path) -> ModelConfig:
    return ModelConfig(str(weights), head="linear") if head == "linear" else ModelConfig()


def many_squares() -> Dataset:
    return Dataset("squares", squares(100), squares(30, 100), "f00d", ())


def started(dataset: Dataset, model: ModelConfig | None = None, **changes) -> int:
    # A network that has learned too fast is sure of every image: chance alone would choose.
    slow = replace(QUICK, learning_rate=0.01)
    plain = {"initial": 12, "per_round": 8, "rounds": 4, "initial_labels": "person", "train": slow}
    settings = config(model=model or ModelConfig(), held_out_share=0.2, **plain | changes)
    return start_experiment(Store(), "mine", settings, dataset)


def again(experiment: int, dataset: Dataset) -> list[Replayed]:
    return finish(replay(Store(), experiment, dataset, CPU))


def kept_of(home: Path, experiment: int) -> tuple[Experiment, dict[Path, bytes]]:
    """The whole log of an experiment, and every file beside it."""
    files = [path for path in (home / "weights").rglob("*") if path.is_file()]
    logged = open_experiment(Store(), experiment, with_reasons=True)
    return logged, {path: path.read_bytes() for path in files}


@pytest.mark.parametrize("head", [pytest.param("fine-tune", marks=pytest.mark.slow), "linear"])
def test_whatever_people_did_while_it_learned_each_batch_is_chosen_again_as_it_was(
    home: Path, weights: Path, head: str
) -> None:
    dataset = many_squares()
    if head == "linear":
        dataset = replace(dataset, test=squares(0))  # then random images of the batches measure
    experiment = started(dataset, model_of(head, weights))
    play = Play(Store(), dataset, experiment, seed=2, strategies=STRATEGIES)
    after = play.go_on(80)
    asked = [batch for batch in after.batches if batch.model is not None]
    assert len({batch.strategy for batch in asked}) > 2
    assert len(after.class_changes) > 2
    assert any(said.undoes for said in after.annotations)
    assert any(batch.model < batch.round - 1 for batch in asked)  # a round trained meanwhile
    too_late = [
        said
        for record in after.rounds
        for said in after.annotations[record.log_position.annotations :]
        if said.round <= record.round
    ]
    assert too_late  # a second thought, said while its round trained or after
    if head == "linear":  # one that was fit ahead of its round chose a batch
        rounds = {record.round: record.log_position for record in after.rounds}
        assert any(batch.model_position != rounds.get(batch.model) for batch in asked)

    kept = kept_of(home, experiment)
    replayed = again(experiment, dataset)
    assert [one.batch.id for one in replayed] == [batch.id for batch in after.batches]
    assert [one.is_exact for one in replayed] == [True] * len(after.batches)
    assert kept_of(home, experiment) == kept

    for then in play.seen:  # and whatever was seen of it can be seen again
        seen = after.as_of(then.log_position)
        assert seen.phase is then.phase
        assert seen.free_images.tolist() == then.free_images.tolist()
        assert seen.held_out_due(8) == then.held_out_due(8)


def test_a_log_that_was_altered_is_seen(home: Path) -> None:
    dataset = of_squares()
    experiment = started(dataset, rounds=2)
    for _ in range(2):
        label_batch(Store(), dataset, experiment)
        train(Store(), dataset, experiment)
    assert [one.is_exact for one in again(experiment, dataset)] == [True] * 3

    with create_engine(f"sqlite:///{home / 'al.db'}").begin() as log:
        log.execute(text("UPDATE annotations SET label = (label + 1) % 3 WHERE id = 1"))
    exact = [one.is_exact for one in again(experiment, dataset)]
    assert exact == [True, False, False]  # nobody had labelled anything before the first

    with create_engine(f"sqlite:///{home / 'al.db'}").begin() as log:
        log.execute(text("UPDATE batches SET log_position = '{' WHERE id = 2"))
    with pytest.raises(StoreError, match="lost its log position; restore a copy"):
        again(experiment, dataset)


def test_a_batch_of_before_features_were_learned_is_chosen_again_without_them(
    home: Path, weights: Path
) -> None:
    dataset = of_squares()
    model = ModelConfig("learned", head="linear")
    experiment = started(dataset, model, initial=6, per_round=4, start="typiclust")

    def take(tab: str):
        def choose(now: Experiment, number: int):
            return choose_batch(now, number, dataset, CPU)

        return finish(take_new_batch(Store(), experiment, Holder(tab, tab), choose))

    blind = take("ada")
    path = learned_path(dataset.fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(weights.read_bytes())
    seeing = take("ben")
    assert (blind.reasons.by_pixels, seeing.reasons.by_pixels) == (True, False)
    assert [one.is_exact for one in again(experiment, dataset)] == [True, True]


@pytest.mark.parametrize("head", ["fine-tune", "linear"])
def test_what_a_round_said_is_computed_again_as_it_was_where_its_file_is_gone(
    home: Path, weights: Path, head: str
) -> None:
    dataset = of_squares()
    experiment = started(dataset, model_of(head, weights), rounds=2)
    for _ in range(2):
        label_batch(Store(), dataset, experiment)
        train(Store(), dataset, experiment)
    said = load_predictions(Store().folder(experiment), 1)
    folder = home / "weights" / str(experiment)
    (folder / "predictions-1" / "probs.npy").unlink()
    first = open_experiment(Store(), experiment).annotations[0]
    Store().append(experiment, [replace(first, label=(first.label + 1) % 3)])  # said too late
    lost = finish(latest_predictions(open_experiment(Store(), experiment), dataset, CPU))
    assert lost.log_position == said.log_position
    assert lost.probs.tolist() == said.probs.tolist()
    shutil.rmtree(folder)  # as on another server: what was trained is trained again
    elsewhere = finish(latest_predictions(open_experiment(Store(), experiment), dataset, CPU))
    assert elsewhere.probs.tolist() == said.probs.tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("full_width")  # as the command has it
def test_the_command_says_of_each_batch_what_is_the_same_and_what_it_ran_on(home: Path) -> None:
    folder = folder_of(home / "mine", *(f"{name}/{i}.png" for i in range(9) for name in "ab"))
    quick = TrainConfig(epochs=1, min_steps=3)
    settings = ExperimentConfig(
        data=str(folder), image_size=8, initial=4, per_round=3, rounds=2, train=quick
    )
    images = finish(load(str(folder), image_size=8, cache_dir=home / "cache"))
    experiment = start_experiment(Store(), "mine", settings, images)
    finish(advance(Store(), experiment, images, find_hardware()))
    label_batch(Store(), images, experiment)
    finish(advance(Store(), experiment, images, find_hardware()))
    kept = kept_of(home, experiment)
    # In another process: nothing that this one remembers can be what makes it the same.
    words = ["-m", "al_core", "replay", "--experiment", "mine", "--threads", "1"]
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, summary = ended.stdout.splitlines()
    same = "3 of 3 images the same, in the same order, with the same scores"
    assert first == f"Round 1, least_confidence, the model of round 0: {same}"
    assert second == f"Round 2, least_confidence, the model of round 1: {same}"
    assert summary.startswith("2 of 2 batches to the last bit; 6 of 6 images, 100.0%.")
    here = f", threads: 1, torch: {torch.__version__}"
    assert summary.endswith(f"{here}; the log, on the same.")
    assert kept_of(home, experiment) == kept
    with sqlite3.connect(home / "al.db") as database:
        database.execute("UPDATE rounds SET computed_on = 'another machine'")
    hardware = find_hardware()
    replayed = finish(replay(Store(), experiment, images, hardware))
    assert summed_up(replayed, hardware).endswith(f"{here}; the log, on another machine.")
