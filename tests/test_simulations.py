"""Simulations: kept on disk, side by side, with people's labels, on embeddings."""

import csv
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import folder_of, pixels_of
from waiting import until

from al_core.__main__ import main
from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
from al_core.errors import ActiveLearningError
from al_core.images.dataset_cache import load
from al_core.progress import Progress, finish
from al_core.simulation.on_disk import Simulation, saved_curves
from al_core.simulation.runner import run_all, run_one
from al_core.simulation.simulate import Row
from al_core.store.records import RoundRecord
from al_core.store.store import Store

ROOT = Path(__file__).parents[1]
SIZE = 1438  # of the digits' pool


def quick(rounds: int = 1, **more: object) -> ExperimentConfig:
    train = TrainConfig(epochs=1, min_steps=2, flip=False)
    return ExperimentConfig(
        initial=12, per_round=5, rounds=rounds, train=train, image_size=8, **more
    )


def linear(embeddings: Path) -> dict[str, ModelConfig]:
    """The settings of a linear head on embeddings."""
    return {"model": ModelConfig(head="linear", embeddings=str(embeddings))}


def run(simulation: Simulation) -> list[Row]:
    return [report for report in run_one(simulation) if isinstance(report, Row)]


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    return pixels_of(tmp_path)


def test_a_longer_run_goes_on_where_a_shorter_one_ended(home: Path) -> None:
    first = run(Simulation(quick(rounds=1)))
    longer = list(run_one(Simulation(quick(rounds=2))))
    rows = [report for report in longer if isinstance(report, Row)]
    assert rows[:2] == first  # to the second: they were not run again
    assert longer[:2] == first  # and came before any work

    shutil.rmtree(home / "simulations")
    afresh = run(Simulation(quick(rounds=2)))
    assert [r.test_accuracy for r in afresh] == [r.test_accuracy for r in rows]
    assert [r.labeled for r in afresh] == [12, 17, 22]


def test_a_damaged_file_of_a_run_is_run_anew(home: Path) -> None:
    first = run(Simulation(quick(rounds=0)))
    (kept,) = (home / "simulations").glob("*/al.db")
    kept.write_bytes(b"nonsense" + kept.read_bytes()[50:])
    again = run(Simulation(quick(rounds=0)))
    assert again[0].test_accuracy == first[0].test_accuracy


def test_other_settings_are_another_run(home: Path) -> None:
    for config in (quick(0), quick(0, seed=1), quick(0, strategy="random")):
        run(Simulation(config))
    assert len(list((home / "simulations").iterdir())) == 3
    assert {c.on.data for c in saved_curves()} == {"digits"}
    assert all(c.on.fingerprint for c in saved_curves())
    assert sorted((c.name.split(",")[0], c.seed) for c in saved_curves()) == [
        ("Least confidence", 0),
        ("Least confidence", 1),
        ("Random", 0),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("full_width")  # as the processes have it
def test_side_by_side_gives_the_rows_of_one_after_another(home: Path) -> None:
    simulations = [Simulation(quick(1, seed=seed)) for seed in (0, 1)]
    rows, progress = [], []
    for report in run_all(simulations, jobs=2):
        (progress if isinstance(report, Progress) else rows).append(report)
    assert sorted((row.seed, row.round) for row in rows) == [
        (seed, number) for seed in (0, 1) for number in (0, 1)
    ]
    assert progress[-1].fraction == 1
    shutil.rmtree(home / "simulations")  # or they would be read, not run
    alone = [row for one in simulations for row in run(one)]
    assert {(row.seed, row.round, row.test_accuracy) for row in alone} == {
        (row.seed, row.round, row.test_accuracy) for row in rows
    }


@pytest.mark.slow
def test_an_error_in_one_of_them_is_told_in_a_sentence(home: Path) -> None:
    with pytest.raises(ActiveLearningError, match=r"cannot be read as embeddings"):
        list(run_all([Simulation(quick(**linear(home / "none.npz")))], jobs=1))


def test_a_linear_head_on_embeddings_takes_no_network_and_learns(home: Path, pixels: Path) -> None:
    rows = run(Simulation(quick(rounds=4, strategy="maxherding", **linear(pixels))))
    assert len(rows) == 5
    assert rows[-1].test_accuracy > rows[0].test_accuracy > 0.4
    assert rows[-1].test_accuracy > 0.75


def test_a_start_by_a_strategy_beats_nothing_but_chooses_without_labels(
    home: Path, pixels: Path
) -> None:
    by_strategy = run(Simulation(quick(0, start="typiclust", **linear(pixels))))
    at_random = run(Simulation(quick(0, **linear(pixels))))
    assert by_strategy[0].labeled == at_random[0].labeled == 12
    assert by_strategy[0].test_accuracy != at_random[0].test_accuracy


def test_labels_that_people_gave_are_used_with_their_noise(home: Path, pixels: Path) -> None:
    digits = finish(load("digits", cache_dir=home / "cache"))
    wrong = (digits.train.targets + 1) % 10
    np.savez(home / "people.npz", ada=wrong.astype(np.int8))
    config = replace(quick(2, strategy="random", **linear(pixels)), initial=200, per_round=50)
    rows = run(Simulation(config, f"{home / 'people.npz'}:ada"))
    assert rows[-1].test_accuracy < 0.2  # it learnt what it was told
    assert all(0 < row.disagreement < 0.4 for row in rows[1:])  # and agrees with who told it


@pytest.mark.parametrize(
    ("arrays", "name", "sentence"),
    [
        ({"ada": np.zeros(SIZE, int)}, "bob", "has no “bob”; it has ada"),
        ({"ada": np.zeros(7, int)}, "ada", "there must be 1,438 whole numbers"),
        ({"ada": np.full(SIZE, 12)}, "ada", "labels from 12 to 12; there are 10 classes"),
        ({"ada": np.zeros(SIZE)}, "ada", "there must be 1,438 whole numbers"),
    ],
)
def test_a_table_of_labels_that_does_not_fit_is_refused_in_a_sentence(
    home: Path, arrays: dict, name: str, sentence: str
) -> None:
    np.savez(home / "people.npz", **arrays)
    with pytest.raises(ActiveLearningError, match=sentence):
        run(Simulation(quick(), f"{home / 'people.npz'}:{name}"))


def rows_with(value: float) -> np.ndarray:
    rows = np.zeros((SIZE, 3))
    rows[7, 1] = value
    return rows


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        (np.zeros((7, 3)), "there must be 1,438 rows"),
        (np.zeros((SIZE, 3), int), "floating-point"),
        (rows_with(np.nan), r"digits/\d+ \(row 7 of “train” in .*e\.npz\) are not numbers"),
        (rows_with(-np.inf), r"\(row 7 of “train”"),
        (np.full((SIZE, 3), 1e5), "too large for half precision"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused_in_a_sentence(
    home: Path, train: np.ndarray, sentence: str
) -> None:
    np.savez(home / "e.npz", train=train, test=np.zeros((359, 3)))
    with pytest.raises(ActiveLearningError, match=sentence):
        run(Simulation(quick(**linear(home / "e.npz"))))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"nonsense"])
def test_a_damaged_file_is_refused_in_a_sentence(home: Path, content: bytes) -> None:
    (home / "bad.npz").write_bytes(content)
    for simulation in (
        Simulation(quick(), f"{home / 'bad.npz'}:ada"),
        Simulation(quick(**linear(home / "bad.npz"))),
    ):
        with pytest.raises(ActiveLearningError, match="cannot be read as"):
            run(simulation)


def test_another_file_at_the_same_path_is_another_run_of_another_name(
    home: Path, pixels: Path
) -> None:
    digits = finish(load("digits", cache_dir=home / "cache"))
    people = home / "people.npz"
    for turn in (0, 1):
        np.savez(people, ada=(digits.train.targets + turn) % 10)
        run(Simulation(quick(0, **linear(pixels)), f"{people}:ada"))
    with np.load(pixels) as arrays:
        np.savez(pixels, **{name: -arrays[name] for name in arrays})
    run(Simulation(quick(0, **linear(pixels)), f"{people}:ada"))
    run(Simulation(quick(0, seed=1, **linear(pixels)), f"{people}:ada"))
    names = [curve.name for curve in saved_curves()]
    assert len(names) == 4
    assert len(set(names)) == 3  # two of them differ in their seed alone


def rounds(home: Path) -> list[RoundRecord]:
    """Those that are kept of the one simulation there is."""
    logs = list((home / "simulations").glob("*/simulation.json"))
    store = Store(f"sqlite:///{logs[0].with_name('al.db')}") if logs else None
    return store.rounds(1) if store else []


@pytest.mark.slow
def test_the_command_is_stopped_by_ctrl_c_and_goes_on_from_there(home: Path) -> None:
    out = home / "curve.csv"
    unequal = [*(f"a/{i}.png" for i in range(60)), *(f"b/{i}.png" for i in range(8))]
    folder = folder_of(home / "mine", *unequal)
    quick = "--initial 12 --per-round 5 --rounds 2 --seed 4 --image-size 8 --epochs 1 --min-steps 8"
    words = ["simulate", "--data", str(folder), *quick.split(), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "al_core", *words],
        cwd=ROOT,
        env={**os.environ, "AL_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in a shell's background has it ignored, and it is inherited.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    until(lambda: rounds(home))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Stopped; the same command goes on from here." in errors
    assert "Traceback" not in errors
    before = rounds(home)
    assert 1 <= len(before) <= 3

    ended = CliRunner().invoke(main, [*words, "--plot", str(home / "curve.svg")])
    assert ended.exit_code == 0, ended.output
    assert rounds(home)[: len(before)] == before
    with out.open() as file:
        assert [row["labeled"] for row in csv.DictReader(file)] == ["12", "17", "22"]
    drawn = (home / "curve.svg").read_text()
    assert drawn.startswith("<svg")
    assert "Balanced accuracy" in drawn
