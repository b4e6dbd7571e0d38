"""The same numbers on a Ray cluster of two workers as in process, whatever happens to a worker."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from encoders import frozen
from safetensors.torch import save_file
from tiny import parquet_of, write_rows

from al_core.__main__ import main
from al_core.config import ExperimentConfig, TrainConfig
from al_core.distributed import embed, ray_cluster, simulate
from al_core.distributed.embed import embed_on_ray
from al_core.distributed.ray_cluster import tasks
from al_core.distributed.simulate import simulate_on_ray
from al_core.distributed.streamed_round import streamed_round
from al_core.errors import ConfigError, WeightsError
from al_core.features.embed import embed_into
from al_core.features.embedding_files import file_named
from al_core.features.read import read_features
from al_core.images.dataset_cache import load
from al_core.loop.query import Choice
from al_core.progress import Progress, finish
from al_core.simulation.on_disk import Simulation
from al_core.simulation.runner import run_one
from al_core.simulation.simulate import Row
from tests.narrow import full_width_resnet18
from tests.ray_workers import kill_a_worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("full_width"),  # as the workers have it
    pytest.mark.skipif(
        find_spec("ray") is None, reason="no Ray found: pip install -r requirements-ray.txt"
    ),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    torch.manual_seed(0)
    tensors = full_width_resnet18().state_dict()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """And two cores for a cluster that is started here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AL_HOME", str(path := tmp_path_factory.mktemp("home")))
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # read once, at the import below
        from ray._private import utils

        patch.setattr(utils, "get_num_cpus", lambda *_, **__: 2)
        yield path


@pytest.fixture(scope="module")
def one_cluster(home: Path) -> Iterator[None]:
    """From here on whoever starts a cluster gets this one: to start one takes seconds."""
    start = ray_cluster.cluster
    with start(None) as ray, pytest.MonkeyPatch.context() as patch:

        @contextmanager
        def shared(address: str | None) -> Iterator:
            if address is None:
                yield ray
            else:
                with start(address) as other:
                    yield other

        for module in (embed, ray_cluster, simulate):
            patch.setattr(module, "cluster", shared)
        yield


def test_features_are_those_of_one_process_whoever_is_stopped_or_killed(
    home: Path, weights: str, request: pytest.FixtureRequest
) -> None:
    files = parquet_of(home / "mine")
    dataset = finish(load(str(files), cache_dir=home / "cache"))
    alone = finish(embed_into(home / "alone", frozen(weights), dataset, 32))
    out = home / "together"
    work = embed_on_ray(str(files), frozen(weights), out, 32)
    assert any(report.done >= 3 for report in work if report.unit == "files")
    import ray

    (node,) = ray.nodes()
    assert node["NodeManagerAddress"] == "127.0.0.1"  # nobody else can reach it
    work.close()  # stopped, and its cluster with it; gone on with on another
    assert not ray.is_initialized()
    request.getfixturevalue("one_cluster")
    there = {path: path.stat().st_mtime_ns for path in out.glob("embeddings-*.parquet")}
    assert 3 <= len(there) < 14
    damaged = min(there)
    damaged.write_bytes(b"")
    del there[damaged]
    killed: list[Progress] = []

    def kill_once(report: Progress) -> None:
        if not killed and report.done == len(there) + 1:
            kill_a_worker("_Holder")
            killed.append(report)

    assert finish(embed_on_ray(str(files), frozen(weights), out, 32), kill_once) == (26, 2)
    assert killed
    assert {path: path.stat().st_mtime_ns for path in there} == there
    features = read_features(out, dataset)
    assert np.array_equal(features.train, alone.train)
    assert np.array_equal(features.test, alone.test)
    # Complete, it needs no cluster.
    assert finish(embed_on_ray(str(files), frozen(weights), out, 32, "127.0.0.1:9")) == (26, 2)
    with pytest.raises(WeightsError, match="other images, weights"):
        finish(embed_on_ray(str(files), frozen(weights), out, 16))


def test_simulations_give_the_rows_of_one_process_whoever_is_killed(
    home: Path, one_cluster: None
) -> None:
    train = TrainConfig(epochs=1, min_steps=2, flip=False)
    plain = ExperimentConfig("digits", image_size=16, initial=12, per_round=5, train=train)
    simulations = [
        Simulation(replace(plain, strategy=name, rounds=rounds))
        for name, rounds in (("margin", 1), ("random", 2))
    ]
    rows, killed = [], False
    for report in simulate_on_ray(simulations, jobs=1):
        if isinstance(report, Row):
            rows.append(report)
            if report.strategy == "random" and not killed:  # with two rounds still to come
                kill_a_worker("_simulate")
                killed = True
    assert killed
    assert [row.strategy for row in rows] == ["margin"] * 2 + ["random"] * 3  # in turn
    together = sorted((r.strategy, r.seed, r.round, r.labeled, r.test_accuracy) for r in rows)
    shutil.rmtree(home / "simulations")
    alone = [r for one in simulations for r in run_one(one) if isinstance(r, Row)]
    assert together == sorted(
        (r.strategy, r.seed, r.round, r.labeled, r.test_accuracy) for r in alone
    )


def test_a_streamed_round_is_that_of_one_process_and_answers_come_in_order_whoever_is_killed(
    tmp_path: Path, one_cluster: None
) -> None:
    def slowly(number: int) -> int:
        time.sleep(0.5)  # long enough to be killed in the middle
        return number

    rows = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float16)
    for number in range(0, 9):
        some = slice(number * 100, (number + 1) * 100)
        write_rows(tmp_path, number, [str(i) for i in range(900)[some]], rows[some])
    labels = {str(i): int(rows[i, 0] > 0) for i in range(0, 900, 30)}
    choices = [Choice(strategy, 50, sample=200) for strategy in ("bald", "random", "badge")]
    with tasks() as run:
        answers = run(slowly, range(9))
        assert next(answers) == 0
        kill_a_worker("_answer")
        assert list(answers) == list(range(1, 9))
        together = [finish(streamed_round(tmp_path, labels, {}, one, run)) for one in choices]
        file_named(tmp_path, "4").write_bytes(b"no parquet")
        with pytest.raises(ConfigError, match="cannot be read as embeddings"):
            finish(streamed_round(tmp_path, labels, {}, choices[0], run))
    write_rows(tmp_path, 4, [str(i) for i in range(400, 500)], rows[400:500])
    for one, chosen in zip(choices, together, strict=True):
        alone = finish(streamed_round(tmp_path, labels, {}, one))
        assert (chosen.keys, chosen.scores) == (alone.keys, alone.scores)


def test_a_cluster_that_does_not_answer_is_told_in_a_sentence(tmp_path: Path, weights: str) -> None:
    (tmp_path / "features").mkdir()
    write_rows(tmp_path / "features", 0, ["0", "1"], np.ones((2, 4), np.float16))
    commands = {
        "embed": ["--data", "digits", "--weights", weights, "--out", str(tmp_path / "out")],
        "simulate": ["--data", "digits", "--jobs", "1", "--out", str(tmp_path / "curve.csv")],
        "choose": [
            "--features", str(tmp_path / "features"), "--strategy", "random",
            "--out", str(tmp_path / "batch.csv"),
        ],
    }  # fmt: skip
    for command, words in commands.items():
        for more, sentence in (
            (["--engine", "ray", "--address", "127.0.0.1:9"], "No Ray cluster answers at 127"),
            (["--address", "127.0.0.1:9"], "add --engine ray"),
            (["--engine", "ray", "--address", ""], "The --address is empty"),
        ):  # fmt: skip
            said = CliRunner().invoke(main, [command, *words, *more])
            assert said.exit_code == 1, said.output
            assert sentence in said.output
