"""The random baseline: one training for it, however often the page is drawn, and what it shows."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from squares import config, of_squares

from al_core.experiment.experiment import Experiment
from al_core.jobs import Worker
from al_core.models.metrics import wilson_interval
from al_core.progress import Progress
from al_core.simulation.random_baseline import against_random, baseline_curve, missing
from al_core.store.records import RoundRecord
from al_desk.results import random_baseline


def metrics(hits: int) -> dict:
    share, interval = hits / 400, wilson_interval(hits, 400)
    return {"accuracy": share, "interval": interval, "confusion": [[hits, 400 - hits], [0, 0]]}


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Three rounds, the first labelled by the truth."""
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    rounds = [
        RoundRecord(k, 12 + 6 * k, metrics(hits), [], 0, 0, 0, 0, 0)
        for k, hits in enumerate((280, 300, 366))
    ]
    folder = tmp_path / "weights" / "3"
    return Experiment(3, "mine", config(strategy="margin"), "", 60, (), (), tuple(rounds), folder)


def know(home: Path, number: int, labeled: int, hits: int) -> None:
    """As if a round's random baseline had been trained."""
    path = home / "weights" / "3" / f"random-{number}-{labeled}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metrics(hits)))


def test_a_training_for_it_goes_on_while_the_page_is_drawn_and_rounds_are_done(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, begun, is_running = Worker(), [], Event()

    def train(experiment: Experiment, dataset: object):
        begun.append(len(missing(experiment)))
        is_running.set()
        while True:
            yield Progress("Training", 0, 0, "", 0)

    monkeypatch.setattr(random_baseline, "trainer", lambda: worker)
    monkeypatch.setattr(random_baseline, "_train", train)
    dataset = of_squares()
    random_baseline.keep_up(experiment, dataset)
    assert is_running.wait(60)
    job = worker.running
    assert job is not None
    know(tmp_path, 1, 18, 300)
    random_baseline.keep_up(experiment, dataset)
    assert worker.job(job.key) is job
    assert job.active
    switched_off = replace(experiment, config=replace(experiment.config, random_baseline=False))
    random_baseline.keep_up(switched_off, dataset)
    assert job.wait(60)
    assert begun == [2]


def test_how_far_a_strategy_is_from_as_many_random_labels_is_told_in_words(
    experiment: Experiment, tmp_path: Path
) -> None:
    assert against_random(experiment) == ""
    know(tmp_path, 1, 18, 306)
    assert against_random(experiment) == (
        "18 random labels give 76.5%: Margin cannot be told apart from them (1.5 points below, "
        "95% interval −4.4 to 7.4, one run)."
    )
    know(tmp_path, 2, 24, 388)
    assert against_random(experiment).startswith(
        "24 random labels give 97.0%: Margin is 5.5 points below (95% interval 2."
    )
    curve = baseline_curve(experiment)
    assert curve is not None
    assert (curve.name, curve.labeled) == ("mine, random labels", (12, 18, 24))
    assert curve.accuracy == (0.7, 0.765, 0.97)
