"""What things may be called, and what settings may be: it works, or one sentence says why not."""

import dataclasses
import json
import math
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from squares import config, of_squares

from al_core.__main__ import main
from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
from al_core.errors import ConfigError, StoreError, UnknownExperiment
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.features.config import PretrainConfig
from al_core.names import check_class_names, counted
from al_core.store.records import annotator_name
from al_core.store.store import Store

ODD = [
    "<script>window.hacked = 1</script>", "Robert'); DROP TABLE experiments;--", '"quoted"',
    "🐈‍⬛ 👩🏽‍🔬", "שלום עולם", "مرحبا", "../../etc/passwd", "C:\\con",
    "**bold** [a](javascript:b)", "$x$ :red[y] :smile: &lt;", "=1+1", "e\u0301",
    "x" * 200, "nul", "0", "None",
]  # fmt: skip
REFUSED = {
    "": "needs a name", " \t\n": "needs a name", "x" * 201: "too long", "x" * 10_000: "too long",
    "a\0b": r"U\+0000", "a\x1b[31mb": r"U\+001B", "user\u202egnp.exe": r"U\+202E",
    "half\ud800": r"U\+D800",
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_kept_as_it_is(store: Store, name: str) -> None:
    settings = config(class_names=(name, "other", "third"))
    check_class_names(settings.class_names)
    assert annotator_name(name) == name
    number = start_experiment(store, name, config(), of_squares())
    store.change_config(number, settings.to_json())
    opened = open_experiment(store, name)
    assert (opened.name, opened.config.class_names[0]) == (name, name)


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_cannot_be_is_refused_in_one_sentence(store: Store, name: str) -> None:
    with pytest.raises(ConfigError, match=REFUSED[name]):
        start_experiment(store, name, config(), of_squares())
    with pytest.raises(ConfigError, match=REFUSED[name]):
        annotator_name(name)
    with pytest.raises(ConfigError, match=f"class 2 is ({REFUSED[name]}|no plain|empty)"):
        check_class_names(["cat", name])
    assert store.experiments() == []
    with pytest.raises((UnknownExperiment, StoreError)):
        store.experiment(name)


@pytest.mark.parametrize("names", [["cat"], [], ["a", "a"], ["a", " a "], ["é", "e\u0301"]])
def test_class_names_that_cannot_be_told_apart_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"two classes|same name"):
        check_class_names(names)


def test_nobody_answers_in_the_name_of_the_truth() -> None:
    with pytest.raises(ConfigError, match="came with the images"):
        annotator_name(" truth ")


def refusal(of: Callable[[], object]) -> str:
    """The sentence that says no, empty where it is taken; any other error is a mistake."""
    try:
        of()
    except ConfigError as error:
        said = str(error)
    else:
        return ""
    assert re.fullmatch(r"[^\r\n]+\.", said), said
    return said


NUMBERS = [0, -1, 10**30, 10**400, 1e308, -1e308, math.nan, math.inf, -math.inf, 0.5, True, None]
OTHERS = ["", "3", "x" * 10_000, [], [1], {}, {"a": 1}, (), "\ud800"]


@pytest.mark.parametrize("kind", [TrainConfig, ModelConfig, PretrainConfig, ExperimentConfig])
def test_a_setting_is_taken_or_refused_in_one_sentence(kind: type) -> None:
    refused = 0
    for field in dataclasses.fields(kind):
        for value in NUMBERS + OTHERS:
            if field.name in ("model", "train"):
                continue  # made of these themselves
            refused += bool(refusal(lambda: kind(**{field.name: value})))  # noqa: B023
    assert refused > 10 * (len(dataclasses.fields(kind)) - 2)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strategy": "coin"}, "no strategy “coin”; choose one of"),
        ({"seed": "seven"}, "seed must be a whole number"),
        ({"rounds": -1}, "number of rounds must be a whole number from 0"),
        ({"initial": 1}, "number of initial images must be a whole number from 2"),
        ({"held_out_share": False}, "share of random images must be a number from 0 to 0.9"),
    ],
)
def test_a_setting_that_is_refused_is_named_with_its_limits(changes: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config(**changes)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
WHOLE = ExperimentConfig(class_names=("a", "b")).to_json()
FIELDS = st.sampled_from([*WHOLE, "newer"])


@example(WHOLE | {"model": {"new\nline": None}})
@given(json_values | st.dictionaries(FIELDS, json_values).map(lambda some: WHOLE | some))
def test_settings_of_a_log_are_read_or_refused_in_one_sentence(values: object) -> None:
    kept = json.loads(json.dumps(values))
    refusal(lambda: ExperimentConfig.from_json(kept))


@pytest.mark.parametrize("damage", ["{", "[]", '{"newer": 1}', "null"])
def test_an_experiment_with_damaged_settings_hides_no_other(
    store: Store, tmp_path: Path, damage: str
) -> None:
    damaged = start_experiment(store, "damaged", config(), of_squares())
    whole = start_experiment(store, "whole", config(), of_squares())
    with sqlite3.connect(tmp_path / "al.db") as database:
        query = "UPDATE experiments SET config = ? WHERE id = ?"
        database.execute(query, (damage, damaged))
    assert [record.name for record in store.experiments()] == ["whole", "damaged"]
    with pytest.raises(ConfigError, match="damaged, or of a newer version"):
        open_experiment(store, damaged)
    assert open_experiment(store, whole).name == "whole"
    store.rename_experiment(damaged, "former")
    store.delete_experiment(damaged)


def numeric_options() -> list[tuple[str, str]]:
    return [
        (command.name or "", option.opts[0])
        for command in main.commands.values()
        for option in command.params
        if isinstance(option, click.Option)
        and isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    ]


@pytest.mark.parametrize(("command", "option"), numeric_options())
def test_a_number_on_the_command_line_is_taken_or_refused_in_one_sentence(
    command: str, option: str, home: Path
) -> None:
    (home / "empty").mkdir()  # nothing is begun with a number that is taken
    words = [command, "--data", str(home / "empty"), "--out", str(home / "x.safetensors")]
    words += ["--weights", "none"] if command == "embed" else []
    for number in ("0", "-1", "1" + 30 * "0", "1e308", "nan", "inf", "", "x", "9" * 5000):
        ended = CliRunner().invoke(main, [*words, f"{option}={number}"])
        assert ended.exit_code in (1, 2)
        assert isinstance(ended.exception, SystemExit), (number, ended.exception)
        assert len(ended.output.strip().splitlines()) <= 4  # click shows how it is used as well


@pytest.mark.parametrize(
    ("count", "words", "says"),
    [
        (1, ("image",), "1 image"),
        (0, ("image",), "0 images"),
        (1200, ("image",), "1,200 images"),
        (1, ("copy", "copies"), "1 copy"),
        (2, ("copy", "copies"), "2 copies"),
    ],
)
def test_one_thing_is_not_several(count: int, words: tuple[str, ...], says: str) -> None:
    assert counted(count, *words) == says
