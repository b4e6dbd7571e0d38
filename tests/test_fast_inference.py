"""Networks made fast: they say what they said before, and go on where memory is short."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from al_core.config import TrainConfig
from al_core.loop.scoring import look_again
from al_core.models import fast_inference
from al_core.models import prediction as predicting
from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware
from al_core.models.network import Network, build
from al_core.models.prediction import Predictions, predict
from al_core.models.training import fit
from al_core.progress import Progress, finish
from al_core.strategies.uncertainty import entropy, least_confidence, margin

CPU = Hardware(torch.device("cpu"), torch.float32)
BF16 = Hardware(torch.device("cpu"), torch.bfloat16)


@cache
def trained(stem: str, side: int, images: int = 32, epochs: int = 1) -> tuple[Network, np.ndarray]:
    """A network that has seen half of some random images, so that no batch norm does nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, 3, side, side), dtype=np.uint8)
    generator = torch.Generator().manual_seed(0)
    network = build(5, stem, CPU, pixels, generator)
    half = torch.from_numpy(pixels[: images // 2])
    finish(fit(network, half, torch.arange(len(half)) % 5, TrainConfig(epochs, 3), CPU, generator))
    return network.eval(), pixels


@pytest.mark.usefixtures("full_width")
@pytest.mark.parametrize(
    ("stem", "side"), [("torchvision", 32), ("torchvision", 45), ("small", 16), ("small", 9)]
)
def test_a_network_for_inference_says_what_the_network_says(stem: str, side: int) -> None:
    network, images = trained(stem, side)
    fast = InferenceNetwork(network, CPU)
    with torch.inference_mode():
        for some in (images, images[:, :, :, : side - 4]):  # the second size in the same network
            theirs, ours = (one(torch.from_numpy(some)) for one in (network, fast))
            assert torch.allclose(theirs, ours, atol=1e-4)


def test_it_says_the_same_where_nothing_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, or where torch was built without oneDNN."""
    network, images = trained("torchvision", 32)
    with torch.inference_mode():
        fused = InferenceNetwork(network, CPU)(torch.from_numpy(images))
        monkeypatch.setattr(fast_inference, "_FUSED", None)
        apart = InferenceNetwork(network, CPU)(torch.from_numpy(images))
    assert torch.allclose(fused, apart, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("full_width")
def test_the_fast_choice_is_that_of_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = trained("torchvision", 32, 1000, epochs=3)
    everything, pool = np.arange(1000), np.arange(100, 1000)

    def said_by(hardware: Hardware, batch_size: int) -> Predictions:
        monkeypatch.setattr(predicting, "BATCH_SIZE", batch_size)
        return finish(
            predict(InferenceNetwork(network, hardware), images, everything, hardware, "")
        )

    def best(score: Callable, probs: Tensor) -> set[int]:
        return set(score(probs).topk(100).indices.tolist())

    def chosen(score: Callable, said: Predictions, hardware: Hardware) -> set[int]:
        said = replace(said, probs=said.probs.clone(), embeddings=said.embeddings.clone())
        finish(look_again(network, images, said, pool, score, 100, hardware))
        return best(score, said.probs[pool])

    with torch.inference_mode():
        plain = network(torch.from_numpy(images[pool])).softmax(1)
    small, large, coarse = said_by(CPU, 96), said_by(CPU, 512), said_by(BF16, 512)
    for score in (margin, least_confidence, entropy):
        reference = best(score, plain)
        overlap = min(len(reference & chosen(score, said, CPU)) for said in (small, large))
        assert overlap >= 99
        assert len(reference & chosen(score, coarse, BF16)) >= overlap
        at_first = best(score, coarse.probs[pool])
        assert len(reference & at_first) < overlap  # or this test shows nothing


def short_of_memory(forward: Callable[[Tensor], Tensor], most: int) -> Callable[[Tensor], Tensor]:
    """``forward`` on a machine that has room for so many images."""

    def limited(images: Tensor) -> Tensor:
        if len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(images)

    return limited


def test_where_memory_is_short_half_as_many_images_are_predicted_at_a_time() -> None:
    network, images = trained("torchvision", 16, 300)
    everything = np.arange(300)
    whole = finish(predict(InferenceNetwork(network, CPU), images, everything, CPU, "Scoring"))
    fast = InferenceNetwork(network, CPU)
    fast.embed = short_of_memory(fast.embed, 70)
    reports = []
    parts = finish(predict(fast, images, everything, CPU, "Scoring"), reports.append)
    assert torch.allclose(whole.probs, parts.probs, atol=1e-5)
    assert reports[-1].phase == "Scoring, 64 images at a time for lack of memory"
    assert [report.done for report in reports] == [0, 0, 0, 64, 128, 192, 256, 300]
    again: list[Progress] = []
    finish(predict(fast, images, everything, CPU, "Scoring"), again.append)
    assert again[0].done == 64  # it remembers
    fast.embed = short_of_memory(fast.embed, 0)
    with pytest.raises(torch.OutOfMemoryError):
        finish(predict(fast, images, everything, CPU, "Scoring"))


def test_where_memory_is_short_a_batch_is_trained_on_in_parts() -> None:
    _, images = trained("torchvision", 16)
    x, y = torch.from_numpy(images[:20]), torch.arange(20) % 5
    config = TrainConfig(60, 0, batch_size=20, learning_rate=0.064, flip=False, shift=0)
    network = build(5, "torchvision", CPU, images, torch.Generator().manual_seed(0))
    network.forward = short_of_memory(network.forward, 6)
    reports = list(fit(network, x, y, config, CPU, torch.Generator().manual_seed(0)))
    assert reports[-1].phase == "Training, 5 images at a time for lack of memory"
    assert reports[-1].done == 60
    assert reports[-1].accuracy > 0.7  # it has them by heart
    network.forward = short_of_memory(network.forward, 1)
    with pytest.raises(torch.OutOfMemoryError):
        list(fit(network, x, y, config, CPU, torch.Generator().manual_seed(0)))


def test_an_error_that_is_no_lack_of_memory_is_raised() -> None:
    network, images = trained("torchvision", 16)
    fast = InferenceNetwork(network, CPU)

    def broken(images: Tensor) -> Tensor:
        raise RuntimeError("something else")

    fast.embed = broken
    with pytest.raises(RuntimeError, match="something else"):
        finish(predict(fast, images, np.arange(32), CPU, ""))
