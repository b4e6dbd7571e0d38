"""Features learned from images alone: the loss falls, stopping costs nothing, collapse is seen."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from encoders import at
from safetensors.torch import load_file
from squares import CPU
from tiny import folder_of

from al_core.__main__ import main
from al_core.errors import ConfigError, WeightsError
from al_core.features.augmentations import draw_views, random_views
from al_core.features.config import PretrainConfig
from al_core.features.embed import embed
from al_core.features.objectives import METHODS, coding_rate, directions, nt_xent, others_mean
from al_core.features.pretrain import pretrain
from al_core.images.dataset import Dataset
from al_core.images.dataset_cache import load
from al_core.models.learned_weights import card, learned_path
from al_core.models.neighbours import by_neighbours
from al_core.models.network import build
from al_core.models.weights import read_weights, save_backbone
from al_core.progress import PretrainProgress, finish

MARGIN = 0.1
BRIEF = PretrainConfig(minutes=None, epochs=1, batch_size=32, flip=False)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return finish(load("digits", image_size=16, cache_dir=tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def every_step_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_core.features.pretrain.REPORT_SECONDS", 0)


def first(dataset: Dataset, n: int) -> Dataset:
    train = dataset.train
    return replace(
        dataset,
        train=replace(
            train, images=train.images[:n], targets=train.targets[:n], keys=train.keys[:n]
        ),
    )


def right_by_neighbours(weights: Path, dataset: Dataset) -> float:
    """The share of test images that five neighbours among the training images classify right."""
    features = finish(embed(dataset, at(weights, dataset.size), CPU, weights.with_suffix("")))
    train, test = torch.from_numpy(features.train), torch.from_numpy(features.test)
    said = by_neighbours(test, train, torch.tensor(dataset.train.targets), 5)
    return (said.numpy() == dataset.test.targets).mean()


def moved(digits: Dataset) -> Dataset:
    """The same, but for the test images, each of which is moved by up to two pixels: no network
    at all is needed where two digits lie in the same place."""
    rng = np.random.default_rng(0)
    images = [np.roll(image, rng.integers(-2, 3, 2), (1, 2)) for image in digits.test.images]
    return replace(digits, test=replace(digits.test, images=np.stack(images)))


@pytest.mark.slow
@pytest.mark.usefixtures("full_width")
def test_neighbours_become_alike_in_what_is_learned(digits: Dataset, tmp_path: Path) -> None:
    untrained, learned = tmp_path / "untrained.safetensors", tmp_path / "learned.safetensors"
    images = digits.train.images
    save_backbone(build(10, "auto", CPU, images, torch.Generator().manual_seed(0)), untrained, {})
    reports: list[PretrainProgress] = []
    config = replace(BRIEF, epochs=2, batch_size=64)
    last = finish(pretrain(digits, config, CPU, learned), reports.append)
    assert last.loss < reports[0].loss
    there, before = (right_by_neighbours(w, moved(digits)) for w in (learned, untrained))
    assert there > before + MARGIN  # 65% against 42%


@pytest.mark.slow
@pytest.mark.usefixtures("full_width")
def test_the_loss_of_simclr_falls(digits: Dataset, tmp_path: Path) -> None:
    reports: list[PretrainProgress] = []
    config = replace(BRIEF, method="simclr", epochs=8, batch_size=64)
    finish(pretrain(first(digits, 320), config, CPU, tmp_path / "x.safetensors"), reports.append)
    assert reports[-1].loss < reports[0].loss - 0.1


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_and_gives_what_it_would_have_given(
    digits: Dataset, tmp_path: Path
) -> None:
    few, config = first(digits, 64), replace(BRIEF, epochs=4)
    finish(pretrain(few, config, CPU, tmp_path / "whole.safetensors"))
    out = tmp_path / "stopped.safetensors"
    for share in (30, 60):
        work = pretrain(few, config, CPU, out)
        while next(work).done < share:
            pass
        work.close()
        assert not out.exists()
    reports: list[PretrainProgress] = []
    last = finish(pretrain(few, config, CPU, out), reports.append)
    assert reports[0].done > 60
    assert last.epoch == 4
    whole, stopped = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert [path.name for path in tmp_path.glob("*.checkpoint")] == []


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_taken_up(
    digits: Dataset, tmp_path: Path
) -> None:
    out, few = tmp_path / "out.safetensors", first(digits, 64)
    work = pretrain(few, BRIEF, CPU, out)
    first_report = next(work)
    work.close()
    (checkpoint,) = tmp_path.glob("*.checkpoint")
    assert next(pretrain(few, replace(BRIEF, seed=1), CPU, out)).done == first_report.done
    assert next(pretrain(few, BRIEF, CPU, out)).done > first_report.done
    checkpoint.write_bytes(b"half of it")
    assert next(pretrain(few, BRIEF, CPU, out)).done == first_report.done
    with pytest.raises(ConfigError, match="16 images, not only 10"):
        finish(pretrain(first(digits, 10), BRIEF, CPU, tmp_path / "few.safetensors"))


def test_where_memory_is_short_fewer_images_go_at_a_time(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(images: torch.Tensor, *rest: object) -> torch.Tensor:
        if len(images) > 4 * 20:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return random_views(images, *rest)

    monkeypatch.setattr("al_core.features.learner.random_views", short)
    last = finish(pretrain(first(digits, 64), BRIEF, CPU, tmp_path / "out.safetensors"))
    assert "16 images at a time for lack of memory" in last.phase
    assert last.epoch == 1


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state: object, file: BinaryIO) -> None:
        file.write(b"as far as it went")
        raise RuntimeError("[enforce fail at inline_container.cc:668] . unexpected pos 64 vs 0")

    monkeypatch.setattr("al_core.features.pretrain.KEEP_SECONDS", 0)
    monkeypatch.setattr("torch.save", full)
    out = tmp_path / "out.safetensors"
    finish(pretrain(first(digits, 64), BRIEF, CPU, out))
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]


@pytest.mark.slow
def test_a_collapse_is_caught(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_alike(projections: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        """What nothing but a constant fulfils."""
        return -(projections * projections.mean(0)).sum(2).mean()

    fast = replace(METHODS["emp-ssl"], loss=only_alike, learning_rate=0.5)
    monkeypatch.setitem(METHODS, "emp-ssl", fast)
    few = replace(BRIEF, epochs=50)
    with pytest.raises(ConfigError, match="have collapsed"):
        finish(pretrain(first(digits, 64), few, CPU, tmp_path / "out.safetensors"))
    assert not (tmp_path / "out.safetensors").exists()


def test_the_time_limit_ends_a_run_and_the_file_says_what_it_is(
    digits: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    few = first(digits, 64)
    last = finish(pretrain(few, replace(BRIEF, epochs=None, minutes=0.02), CPU, out))
    assert last.seconds >= 1.2
    said = card(out)
    assert (said["method"], said["views"], said["device"]) == ("EMP-SSL", "4 of 16 pixels", "CPU")
    assert said["source"] == few.fingerprint
    assert float(said["epochs"]) == pytest.approx(last.epoch, abs=0.01)
    assert out.stat().st_size < 25e6
    weights = read_weights(out)
    assert weights.stem == "torchvision"
    assert 0 < weights.mean[0] < 1
    with pytest.raises(WeightsError, match="there already"):
        finish(pretrain(few, BRIEF, CPU, out))


def test_the_command_learns_and_others_find_what_it_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    embed_digits = ["embed", "--data", "digits", "--weights", "learned", "--out"]
    run = CliRunner().invoke
    refused = run(main, [*embed_digits, str(tmp_path / "early")])
    assert refused.exit_code == 1
    assert "No features have been learned from these images yet" in refused.output
    learned = run(main, ["pretrain", "--data", "digits", "--minutes", "0.02"])
    assert learned.exit_code == 0, learned.output
    assert "nearest neighbours" in learned.output
    assert str(learned_path("")).removesuffix(".safetensors") in learned.output
    assert run(main, [*embed_digits, str(tmp_path / "features")]).exit_code == 0
    nonsense = ["pretrain", "--data", "digits", "--minutes", "-1"]
    assert "must be a number from 0.01" in run(main, nonsense).output


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learned(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    folder = folder_of(tmp_path / "mine", *(f"{name}/{i}.png" for i in range(20) for name in "ab"))
    command = [sys.executable, "-m", "al_core", "pretrain", "--data", str(folder),
               "--out", str(out), "--minutes", "10"]  # fmt: skip
    environment = {**os.environ, "AL_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
        for line in iter(run.stderr.readline, ""):
            if line.startswith("Epoch"):
                break
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert "Stopped; the same command goes on from here." in said
    assert len(list(tmp_path.glob("out.*.checkpoint"))) == 1


def test_a_view_is_a_part_of_its_image_in_other_colours() -> None:
    left, right = np.zeros((2, 3, 32, 32), dtype=np.uint8)
    left[:, :, :16] = 200
    images = torch.from_numpy(np.stack([left, right, left])).repeat(100, 1, 1, 1)
    draws = draw_views(len(images), CPU.device, torch.Generator().manual_seed(0))
    views = random_views(images, 32, False, draws)
    assert views.shape == images.shape
    assert views.min() >= 0
    assert views.max() <= 255
    assert views[1::3].abs().max() < 1  # black stays black
    bright = views[::3].flatten(1).mean(1)
    assert bright.min() < 40
    assert bright.max() > 150
    edge = (views[::3, :, :, :1] >= views[::3, :, :, -1:] - 0.01).all(1).all(1)
    assert edge.all()  # nothing is mirrored
    mirrored = random_views(images, 32, True, draws)
    assert 0.2 < (mirrored[::3, 0, 5, 0] < mirrored[::3, 0, 5, -1]).float().mean() < 0.6
    assert random_views(images, 24, False, draws).shape == (300, 3, 24, 24)


def test_objectives_know_alike_from_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    apart = torch.nn.functional.normalize(torch.randn(2, 40, 64, generator=generator), dim=2)
    alike = apart[:1].repeat(2, 1, 1)
    same = apart[:1, :1].expand(2, 40, 64)
    for loss in (nt_xent, coding_rate):
        assert loss(alike, alike) < loss(apart, apart)
        assert loss(alike, alike) < loss(same, same)
    assert directions(same[0]) == pytest.approx(1)
    assert 20 < directions(apart[0]) < 40
    # As the formulas say, by hand: every pair of views the same, two images at right angles.
    two = torch.eye(2).expand(2, 2, 2)
    assert nt_xent(two, two).item() == pytest.approx(np.log(np.e**2 + 2) - 2)
    assert coding_rate(two, two).item() == pytest.approx(-1 - np.log(1 + 1 / 0.2) / 200)
    three = torch.tensor([[[1.0, 0]], [[0, 1.0]], [[1.0, 0]]]).requires_grad_()
    right = torch.tensor([[[1.0, 1]], [[1.0, 0]], [[1.0, 1]]], requires_grad=True)
    assert others_mean(three, right).item() == pytest.approx(-1)  # each from the other two
    others_mean(three, right * torch.tensor([1.0, 2])).backward()
    assert right.grad is not None
    assert three.grad is None  # what is to be predicted is given
