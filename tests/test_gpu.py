"""On a GPU as on a CPU: ``pytest -m gpu``. Where there is none, both sides are the CPU, and what
only a card has is skipped."""

import gc
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from squares import CPU, config, of_squares

from al_core.config import TrainConfig
from al_core.experiment.pool import Pool
from al_core.experiment.predictions import PoolPredictions
from al_core.features.config import PretrainConfig
from al_core.features.pretrain import pretrain
from al_core.features.read import Features
from al_core.loop.learners import RoundTask
from al_core.loop.query import Choice, choose
from al_core.loop.round import run_round
from al_core.loop.scoring import look_again, score_images
from al_core.loop.speed import measure_speed
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import find_hardware, on_device
from al_core.models.linear_heads import fit_head
from al_core.models.metrics import evaluate
from al_core.models.network import Network, build
from al_core.models.prediction import batch_size, predict
from al_core.models.training import fit
from al_core.progress import finish
from al_core.store.records import Annotation
from al_core.strategies.registry import STRATEGIES
from al_core.strategies.uncertainty import margin

pytestmark = pytest.mark.gpu

HARDWARE = find_hardware()
ON_CARD = HARDWARE.device.type == "cuda"
only_on_a_card = pytest.mark.skipif(not ON_CARD, reason="no GPU found")
BRIEF = TrainConfig(epochs=1, min_steps=4 if ON_CARD else 2, batch_size=16)
STEMS = pytest.mark.parametrize("stem", ["small", "torchvision"] if ON_CARD else ["small"])
POOL = 800 if ON_CARD else 200  # images that a strategy chooses from


def pictures(n: int = 600 if ON_CARD else 60, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Images of five kinds, each blocks of its own colours under some noise."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(40, 216, (5, 3, 4, 4)).astype(np.uint8)
    targets = np.arange(n) % 5
    blocks = np.kron(kinds[targets], np.ones((1, 1, size // 4, size // 4), np.uint8))
    return blocks + rng.integers(0, 40, blocks.shape, dtype=np.uint8), targets


def trained(stem: str = "small", seed: int = 0) -> Network:
    images, targets = pictures(60 if ON_CARD else 32)
    network = build(5, stem, HARDWARE, images, torch.Generator().manual_seed(seed))
    x, y = (torch.from_numpy(rows).to(HARDWARE.device) for rows in (images, targets))
    finish(fit(network, x, y, BRIEF, HARDWARE, torch.Generator().manual_seed(seed)))
    return network


def is_same(a: Network, b: Network) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def a_round(strategy: str = "margin"):
    dataset = of_squares()
    labels = [Annotation(i, i % 3, 0, "x") for i in range(12)]
    settings = config(strategy=strategy, class_names=("red", "green", "blue"))
    return finish(run_round(RoundTask(settings, 0, Pool.fold(60, labels), dataset), HARDWARE))


@STEMS
def test_a_network_says_what_it_says_on_a_cpu(stem: str) -> None:
    network, (images, _) = trained(stem), pictures()
    everything = np.arange(len(images))
    there = finish(predict(InferenceNetwork(network, HARDWARE.exact), on_device(images, HARDWARE),
                           everything, HARDWARE.exact, ""))  # fmt: skip
    network.to("cpu")
    here = finish(predict(InferenceNetwork(network, CPU), images, everything, CPU, ""))
    assert torch.allclose(there.probs, here.probs, atol=1e-4)
    assert there.embeddings.device.type == "cpu"
    best = [set(margin(said.probs).topk(20).indices.tolist()) for said in (there, here)]
    assert len(best[0] & best[1]) >= 19


@STEMS
def test_the_same_seed_gives_the_same_network_twice(stem: str) -> None:
    assert is_same(trained(stem), trained(stem))


def test_the_same_seed_gives_the_same_round_twice() -> None:
    one, other = a_round(), a_round()
    assert is_same(one.network, other.network)
    assert (one.predictions.probs == other.predictions.probs).all()
    assert one.record.metrics == other.record.metrics


def test_what_is_chosen_in_the_fast_dtype_is_what_fp32_chooses() -> None:
    n = 3000 if ON_CARD else 200
    network, (images, _) = trained(), pictures(n)
    x, pool = on_device(images, HARDWARE), np.arange(100, n)
    said = [
        finish(score_images(network, x, "margin", pool, 100, on))
        for on in (HARDWARE, HARDWARE.exact)
    ]
    best = [set(margin(one.probs[pool]).topk(100).indices.tolist()) for one in said]
    assert len(best[0] & best[1]) >= 99
    finish(look_again(network, x, said[0], pool, margin, 100, HARDWARE))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("labels", [0, 1, 60])
def test_a_strategy_chooses_what_it_chooses_on_a_cpu(strategy: str, labels: int) -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(POOL) % 10
    centres = rng.normal(size=(10, 64))
    rows = (centres[targets] + rng.normal(size=(POOL, 64))).astype(np.float16)
    logits = rows.astype(np.float32) @ centres.T.astype(np.float32) / 20
    probs = np.exp(logits - logits.max(1, keepdims=True))
    said = PoolPredictions(0, (probs / probs.sum(1, keepdims=True)).astype(np.float32), rows, 1.3)
    pool = Pool.fold(POOL, [Annotation(i, int(targets[i]), 0, "x") for i in range(labels)])

    def chosen(device: torch.device) -> list[int]:
        return choose(Choice(strategy, 40), said, pool, pool.unlabeled, device)[0].tolist()

    there = chosen(HARDWARE.device)
    assert there == chosen(HARDWARE.device)
    assert len(set(there)) == 40
    # A last bit may turn a comparison, and what follows from it in a chain of choices.
    if not ON_CARD or strategy in ("random", "margin", "entropy", "least_confidence"):
        assert there == chosen(CPU.device)


def test_a_head_and_what_measures_it_run_there() -> None:
    dataset, rng = of_squares(), np.random.default_rng(0)
    rows = [
        (np.eye(3)[part.targets] + rng.normal(size=(len(part), 3)) / 4).astype(np.float16)
        for part in (dataset.train, dataset.test)
    ]
    pool = Pool.fold(60, [Annotation(i, i % 3, 0, "x") for i in range(30)])
    settings = config(class_names=("red", "green", "blue"))
    features = Features(*rows, "")
    outcomes = [
        finish(run_round(RoundTask(settings, 0, pool, dataset, features), hardware))
        for hardware in (HARDWARE, CPU)
    ]
    assert np.allclose(outcomes[0].predictions.probs, outcomes[1].predictions.probs, atol=1e-3)
    assert outcomes[0].record.metrics["accuracy"] > 0.9
    x, y = torch.from_numpy(rows[0]).to(HARDWARE.device), torch.arange(60).to(HARDWARE.device) % 3
    head, _ = fit_head(x, y, 3, torch.Generator().manual_seed(0))
    measured = evaluate(head.logits(x)[0].softmax(1), y)
    assert measured.accuracy > 0.9


def test_what_a_round_costs_is_measured_there(monkeypatch: pytest.MonkeyPatch) -> None:
    if not ON_CARD:
        monkeypatch.setattr("al_core.loop.speed.BATCH_SIZE", 64)
        monkeypatch.setattr("al_core.loop.speed.STEPS", 1)
    speed = finish(measure_speed("auto", 16, HARDWARE))
    assert min(speed.training, speed.predicting, speed.fp32) > 0


@pytest.mark.parametrize("method", ["emp-ssl", "fastsiam", "simclr"] if ON_CARD else ["simclr"])
def test_learning_features_goes_on_as_it_would_have(method: str, tmp_path) -> None:
    dataset = of_squares()
    epochs = 4 if ON_CARD else 1
    settings = PretrainConfig(
        method=method, minutes=None, epochs=epochs, batch_size=20, stem="small"
    )
    finish(pretrain(dataset, settings, HARDWARE, tmp_path / "whole.safetensors"))
    work = pretrain(dataset, settings, HARDWARE, tmp_path / "stopped.safetensors")
    next(work)
    work.close()
    finish(pretrain(dataset, settings, HARDWARE, tmp_path / "stopped.safetensors"))
    whole, stopped = ((tmp_path / f"{name}.safetensors").stat().st_size
                      for name in ("whole", "stopped"))  # fmt: skip
    assert whole == stopped


def test_two_experiments_share_the_hardware() -> None:
    alone = trained(seed=1)
    (images, _), found = pictures(), []
    fast = InferenceNetwork(alone, HARDWARE)

    def predicts() -> None:
        for _ in range(3):
            work = predict(fast, images, np.arange(len(images)), HARDWARE, "")
            found.append(finish(work).probs)

    thread = threading.Thread(target=predicts)
    thread.start()
    beside = trained(seed=1)
    thread.join()
    assert is_same(alone, beside)
    assert all(torch.equal(found[0], other) for other in found)


@only_on_a_card
def test_the_pool_lies_on_the_card_once_as_bytes() -> None:
    images, _ = pictures()
    one, other = on_device(images, HARDWARE), on_device(images, HARDWARE)
    assert one is other
    assert one.dtype == torch.uint8
    assert one.device.type == "cuda"
    held = torch.cuda.memory_allocated()
    del one, other, images
    gc.collect()
    assert torch.cuda.memory_allocated() < held


@only_on_a_card
def test_the_fast_dtype_and_layout_are_on() -> None:
    network = trained()
    assert HARDWARE.dtype == torch.bfloat16
    weight = network.backbone.get_submodule("layer1.0.conv1").weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32


@only_on_a_card
def test_a_cancel_frees_the_memory() -> None:
    images, targets = pictures()
    x, y = (torch.from_numpy(rows).to(HARDWARE.device) for rows in (images, targets))
    trained()  # libraries keep scratch space of their own
    before = torch.cuda.memory_allocated()
    network = build(5, "small", HARDWARE, images, torch.Generator().manual_seed(0))
    work = fit(network, x, y, replace(BRIEF, epochs=50), HARDWARE, torch.Generator())
    next(work)
    assert torch.cuda.memory_allocated() > before
    work.close()
    del network, work
    gc.collect()
    assert torch.cuda.memory_allocated() <= before


@only_on_a_card
def test_out_of_memory_halves_the_batch_and_says_so() -> None:
    images, targets = pictures(8192, 32)
    x, y = (torch.from_numpy(rows[:1024]).to(HARDWARE.device) for rows in (images, targets))
    network = build(5, "small", HARDWARE, images, torch.Generator().manual_seed(0))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 600 * 2**20) / total)
    try:
        large = replace(BRIEF, batch_size=1024, min_steps=2, epochs=1)
        work = fit(network, x, y, large, HARDWARE, torch.Generator().manual_seed(0))
        assert "images at a time for lack of memory" in list(work)[-1].phase
        torch.cuda.empty_cache()
        exact = HARDWARE.exact
        fast, reports = InferenceNetwork(network, exact), []
        finish(predict(fast, images, np.arange(8192), exact, "Scoring"), reports.append)
        assert fast.at_most < batch_size(exact)
        assert "for lack of memory" in reports[-1].phase
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
