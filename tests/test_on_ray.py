"""The same numbers on a Ray cluster of two workers as in process, whatever happens to a worker."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from tiny import folder_of
from torchvision.models import resnet18

from al_core import on_ray
from al_core.config import ExperimentConfig, TrainConfig
from al_core.errors import ConfigError, WeightsError
from al_core.features import embed_into, read_features
from al_core.images import load
from al_core.progress import Progress, finish
from al_core.simulate import Row
from al_core.simulations import Simulation, run_one

pytest.importorskip("ray", reason="pip install -r requirements-ray.txt")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    torch.manual_seed(0)
    tensors = resnet18(weights=None).state_dict()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    return tmp_path


def kill_a_worker(name: str) -> None:
    """SIGKILL one of the processes that Ray has named so."""
    found = subprocess.run(["pgrep", "-f", f"^ray::{name}"], capture_output=True, text=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)


def test_features_are_those_of_one_process_whoever_is_killed(
    home: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{kind}/{i}.png" for i in range(60) for kind in ("cat", "dog")]
    folder = folder_of(home / "mine", *names)
    (folder / "cat" / "broken.png").write_bytes(b"no picture")
    dataset = finish(load(str(folder), cache_dir=home / "cache"))
    alone = finish(embed_into(home / "alone", weights, dataset))

    monkeypatch.setattr("al_core.parts.ROWS", 8)  # images in a part
    killed: list[Progress] = []

    def kill_once(report: Progress) -> None:
        if not killed and report.done == 1 and report.unit == "files":
            kill_a_worker("MapWorker")
            killed.append(report)

    out = home / "together"
    count = finish(on_ray.embed_on_ray(str(folder), weights, out, 32), kill_once)
    assert killed
    assert count == 120
    features = read_features(out, dataset)
    assert np.array_equal(features.train, alone.train)
    assert np.array_equal(features.test, alone.test)
    (folder / "cat" / "60.png").write_bytes((folder / "cat" / "0.png").read_bytes())
    with pytest.raises(WeightsError, match="other images or weights"):
        finish(on_ray.embed_on_ray(str(folder), weights, out, 32))


def test_simulations_give_the_rows_of_one_process_whoever_is_killed(home: Path) -> None:
    train = TrainConfig(epochs=1, min_steps=2, flip=False)
    plain = ExperimentConfig(data="digits", initial=12, per_round=5, rounds=1, train=train)
    simulations = [Simulation(replace(plain, strategy=name)) for name in ("margin", "random")]
    rows, killed = [], False
    for report in on_ray.simulate_on_ray(simulations):
        if isinstance(report, Row):
            rows.append(report)
            if not killed:
                kill_a_worker("_simulate")
                killed = True
    assert killed
    together = sorted((r.strategy, r.seed, r.round, r.labeled, r.test_accuracy) for r in rows)
    for file in (home / "simulations").iterdir():
        file.unlink()
    alone = [r for one in simulations for r in run_one(one) if isinstance(r, Row)]
    assert together == sorted(
        (r.strategy, r.seed, r.round, r.labeled, r.test_accuracy) for r in alone
    )


def test_a_cluster_that_does_not_answer_is_told_in_a_sentence(home: Path, weights: str) -> None:
    with pytest.raises(ConfigError, match=r"No Ray cluster answers at 127\.0\.0\.1:9"):
        finish(on_ray.embed_on_ray("digits", weights, home / "out", 32, "127.0.0.1:9"))


def test_parquet_is_read_by_its_paths_goes_on_where_it_stopped_and_without_paths_is_refused(
    home: Path, weights: str
) -> None:
    files = folder_of(home / "mine", *(f"{kind}/{i}.png" for i in range(6) for kind in "ab"))
    pictures = [(str(p.relative_to(files)), p.read_bytes()) for p in sorted(files.rglob("*.png"))]
    pictures.append(("b/broken.png", b"no picture"))

    def parquet(name: str, paths: list[str | None]) -> Path:
        folder = home / name
        folder.mkdir()
        rows = [{"bytes": b, "path": p} for p, (_, b) in zip(paths, pictures, strict=True)]
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        labels = [i % 2 for i in range(len(rows))]
        table = pa.table({"image": pa.array(rows, kind), "label": labels})
        pq.write_table(table, folder / "train.parquet", row_group_size=1)
        return folder

    named = parquet("named", [path for path, _ in pictures])
    dataset = finish(load(str(named), cache_dir=home / "cache"))
    alone = finish(embed_into(home / "alone", weights, dataset))
    out = home / "together"
    work = on_ray.embed_on_ray(str(named), weights, out, 32)
    assert any(report.done >= 3 for report in work if report.unit == "files")
    work.close()  # stopped, and gone on with
    there = {path: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    assert 3 <= len(there) < 13
    assert finish(on_ray.embed_on_ray(str(named), weights, out, 32)) == 12
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert np.array_equal(read_features(out, dataset).train, alone.train)
    for name, paths in (("nameless", [None] * 13), ("alike", ["a.png"] * 13)):
        with pytest.raises(ConfigError, match="each image needs a path of its own"):
            finish(on_ray.embed_on_ray(str(parquet(name, paths)), weights, home / name, 32))
