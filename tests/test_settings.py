"""Settings change from the next training on; each round says what it used."""

from dataclasses import replace

import pytest
from squares import CPU, config, label_batch, of_squares, train

from al_core.analysis.stopping import trained_alike
from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.experiment.class_acts import add, change_classes
from al_core.experiment.experiment import open_experiment
from al_core.experiment.settings import change_settings
from al_core.experiment.start import start_experiment
from al_core.loop.replay import replay
from al_core.progress import finish
from al_core.store.store import Store
from al_desk.server.settings import save_settings


def test_a_round_uses_the_settings_of_its_time_and_replay_follows_them(store: Store) -> None:
    dataset = of_squares()
    number = start_experiment(store, "mine", config(), dataset)
    train(store, dataset, number)
    now = open_experiment(store, number)
    slower = replace(now.config.train, epochs=3, learning_rate=0.01, flip=False)
    change_settings(store, now, replace(now.config, train=slower, per_round=5))
    for _ in range(2):
        label_batch(store, dataset, number)
        train(store, dataset, number)
    after = open_experiment(store, number)
    used = [record.log_position.settings["train"] for record in after.rounds]
    assert [one["learning_rate"] for one in used] == [0.05, 0.01, 0.01]
    assert [one["batch_size"] for one in used] == [8, 8, 8]  # which nobody changed
    assert [len(batch.images) for batch in after.batches] == [4, 5, 5]
    assert [record.calibrated_by for record in after.rounds] == [
        "hold-out", "hold-out", "earlier hold-out"  # the first network was trained otherwise
    ]  # fmt: skip
    assert trained_alike(after.rounds[:1]) == [*after.rounds[:1]]
    assert trained_alike(after.rounds) == [*after.rounds[1:]]  # what a gain is judged by
    replayed = finish(replay(store, number, dataset, CPU))
    assert [one.is_exact for one in replayed] == [True] * 3


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rounds": 900}, "not enough unlabelled images"),
        ({"rounds": 0, "per_round": 3}, "Round 1 was trained already"),
        ({"seed": 1}, "Settled when the experiment was started: seed"),
    ],
)
def test_settings_that_cannot_work_any_more_are_said_and_nothing_is_changed(
    store: Store, changes: dict, sentence: str
) -> None:
    dataset = of_squares()
    number = start_experiment(store, "mine", config(), dataset)
    train(store, dataset, number)
    label_batch(store, dataset, number)
    train(store, dataset, number)
    now = open_experiment(store, number)
    with pytest.raises(ConfigError, match=sentence):
        change_settings(store, now, replace(now.config, **changes))
    assert open_experiment(store, number).config == now.config


def test_what_another_tab_changed_meanwhile_stays(store: Store) -> None:
    dataset = of_squares()
    number = start_experiment(store, "mine", config(), dataset)
    mine = open_experiment(store, number)
    change_settings(store, mine, replace(mine.config, strategy="margin"))
    change_settings(store, mine, replace(mine.config, per_round=7))
    assert open_experiment(store, number).config == replace(
        mine.config, strategy="margin", per_round=7
    )


def test_settings_are_saved_from_a_form_that_knows_other_classes(store: Store) -> None:
    number = start_experiment(store, "mine", config(), of_squares())
    form = ExperimentConfig.from_json(store.experiment(number).config)
    change_classes(store, number, "ada", add(["violet"]))
    save_settings(store, number, replace(form, per_round=5))
    now = open_experiment(store, number).config
    assert (now.per_round, now.class_names) == (5, ("red", "green", "blue", "violet"))
