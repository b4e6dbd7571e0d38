"""Training: how long, on what, and that it learns."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from al_core.config import ExperimentConfig, TrainConfig
from al_core.errors import ConfigError
from al_core.experiment.pool import Pool
from al_core.images.dataset import Dataset, ImageSet
from al_core.loop.learners import RoundTask
from al_core.loop.round import run_round
from al_core.models.convolution import Conv3x3
from al_core.models.hardware import Hardware
from al_core.models.network import build
from al_core.models.training import augment, draw_augmentation, fit, turn
from al_core.store.records import Annotation

CPU = Hardware(torch.device("cpu"), torch.float32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def train(n: int, config: TrainConfig, seed: int = 0) -> list:
    images = np.random.default_rng(0).integers(0, 100, (n, 3, 16, 16)).astype(np.uint8)
    targets = np.arange(n) % 2
    images[targets == 1] += 100
    network = build(2, "torchvision", CPU, images, seeded(seed))
    x, y = torch.from_numpy(images), torch.from_numpy(targets)
    if n > 1 and config.few_in_a_batch(n):
        network.freeze_norms(x)
    return list(fit(network, x, y, config, CPU, seeded(seed)))


def test_there_is_one_report_an_epoch_and_the_last_one_is_the_end() -> None:
    reports = train(40, TrainConfig(epochs=3, min_steps=0, batch_size=16))
    assert [report.done for report in reports] == [3, 5, 8]  # 48, 80 and 128 images seen
    assert [report.epoch for report in reports] == [1.2, 2, 3.2]
    assert reports[-1].fraction == 1
    assert reports[-1].seconds_left == 0


def test_few_labels_are_trained_for_as_many_steps_as_many_labels() -> None:
    (*_, few) = train(4, TrainConfig(epochs=1, min_steps=12, batch_size=8))
    (*_, many) = train(90, TrainConfig(epochs=1, min_steps=12, batch_size=8))
    assert few.total == many.total == 12


def test_an_odd_image_at_the_end_does_not_break_batch_norm() -> None:
    assert train(17, TrainConfig(epochs=1, min_steps=0, batch_size=16))[-1].done == 2


@pytest.mark.parametrize(("n", "batch_size"), [(2, 64), (20, 2)])
def test_few_images_and_small_batches_train_too(n: int, batch_size: int) -> None:
    (*_, last) = train(n, TrainConfig(batch_size=batch_size, min_steps=40, epochs=1))
    assert last.accuracy == 1


def test_training_learns_what_can_be_learned() -> None:
    first, *_, last = train(16, TrainConfig(epochs=12, min_steps=0, batch_size=8))
    assert last.accuracy > 0.9
    assert last.loss < first.loss


@pytest.mark.parametrize(("weights", "rare"), [("off", 0.1), ("on", 0.25), ("full", 0.5)])
def test_a_network_that_sees_no_difference_predicts_the_weighted_shares_of_the_classes(
    weights: str, rare: float
) -> None:
    images = torch.full((40, 3, 16, 16), 128, dtype=torch.uint8)
    targets = torch.tensor([0] * 36 + [1] * 4)
    network = build(2, "torchvision", CPU, images.numpy(), seeded())
    config = TrainConfig(epochs=40, min_steps=0, batch_size=40, shift=0, class_weights=weights)
    assert list(fit(network, images, targets, config, CPU, seeded()))
    share = network.eval()(images).softmax(1)[0, 1].item()
    assert share == pytest.approx(rare, abs=0.05)


@pytest.mark.slow
def test_labels_choose_class_weights_for_a_network_and_the_rounds_record_says_which() -> None:
    """Images that are all alike: even predictions have the least balanced loss."""
    names, n = ("common", "rare", "never"), 40
    targets = np.array([0] * 36 + [1] * 4)
    grey = ImageSet(np.full((n, 3, 16, 16), 128, np.uint8), targets, names, [*map(str, range(n))])
    pool = Pool(n, {i: Annotation(i, int(targets[i]), 0, "ada") for i in range(n)})

    def trained(weights: str, pool: Pool = pool) -> tuple[dict, set[str]]:
        train = TrainConfig(epochs=1, min_steps=18, batch_size=40, shift=0, class_weights=weights)
        config = ExperimentConfig(class_names=names, train=train)
        dataset = Dataset("grey", grey, grey, "f00d", ())
        task = RoundTask(config, 0, pool, dataset, temperature=1.0, scoring=False)
        phases, work = set(), run_round(task, CPU)
        while True:
            try:
                phases.add(next(work).phase)
            except StopIteration as end:
                return end.value.record.metrics, phases

    full, phases = trained("full")
    assert phases == {"Training", "Evaluating"}
    chosen, phases = trained("auto")
    assert {f"Training to choose class weights, {i} of 3" for i in (1, 2, 3)} < phases
    assert chosen == full
    assert chosen["power"] == 1
    assert "power" not in trained("off")[0]
    # Nothing to choose by where each class has one label.
    one_each = Pool(n, {i: pool.answers[i] for i in (0, 36)})
    assert trained("auto", one_each)[0]["power"] == 0


def test_one_image_is_too_few() -> None:
    with pytest.raises(ConfigError, match="two labelled images"):
        train(1, TrainConfig())


@given(st.integers(1, 6), st.integers(5, 9), st.integers(5, 9), st.integers(0, 4), st.integers(0))
def test_augmented_images_are_moved_and_mirrored_originals(
    n: int, height: int, width: int, shift: int, seed: int
) -> None:
    # Each pixel names its row and column, so where it came from can be read off.
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    images = (rows * 16 + columns).to(torch.uint8).expand(n, 1, height, width)
    moved = augment(images, *draw_augmentation(len(images), True, shift, seeded(seed % 2**32)))
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8
    middle = moved[:, 0, height // 2, width // 2].tolist()
    for value in middle:
        assert abs(value // 16 - height // 2) <= shift
        column = value % 16
        assert min(abs(column - width // 2), abs(width - 1 - column - width // 2)) <= shift


def test_frozen_norms_have_the_statistics_of_other_images_and_keep_them() -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (80, 3, 16, 16), np.uint8))
    network = build(2, "torchvision", CPU, images.numpy(), seeded())
    expected = network.train().backbone.conv1((images / 255 - network.mean) / network.std)
    network.freeze_norms(images)
    assert torch.allclose(network.backbone.bn1.running_mean, expected.mean((0, 2, 3)), atol=1e-4)
    alone = network.embed(images[:1])
    assert torch.allclose(network.embed(images)[:1], alone, atol=1e-4)  # whatever is beside it
    assert list(fit(network, images[:8], torch.arange(8) % 2, TrainConfig(1, 5), CPU, seeded()))
    assert torch.allclose(network.backbone.bn1.running_mean, expected.mean((0, 2, 3)), atol=1e-4)


@given(st.integers(1, 6), st.integers(5, 9), st.integers(0, 255), st.integers(0, 1000))
def test_turned_images_show_what_they_showed(n: int, size: int, grey: int, seed: int) -> None:
    ring = torch.full((n, 3, size, size), grey, dtype=torch.uint8)
    ring[:, :, size // 2, size // 2] = 255 - grey
    turned = turn(ring, seeded(seed))
    assert turned.shape == ring.shape
    low, high = min(grey, 255 - grey), max(grey, 255 - grey)
    assert turned.min() >= low - 1e-3
    assert turned.max() <= high + 1e-3
    assert torch.allclose(turned[..., 0, 0], ring[..., 0, 0].float(), atol=1e-3)
    assert torch.equal(turned, turn(ring, seeded(seed)))


@pytest.mark.parametrize("shift", [3, 4, 7, 64])
def test_images_are_moved_as_far_as_asked_and_mirrored_at_their_edges(shift: int) -> None:
    ramp = torch.arange(4, dtype=torch.uint8).expand(40, 3, 4, 4)
    moved = augment(ramp, *draw_augmentation(40, False, shift, seeded()))
    steps = moved[:, :, :, 1:].int() - moved[:, :, :, :-1]
    assert set(steps.abs().flatten().tolist()) == {1}  # nothing wraps around, and nothing stands
    assert len(moved.unique(dim=0)) > 1


def test_without_flip_and_shift_images_stay_as_they_are() -> None:
    images = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4)
    assert torch.equal(augment(images, *draw_augmentation(len(images), False, 0, seeded())), images)


@pytest.mark.parametrize(("stem", "size"), [("torchvision", 7), ("small", 3), ("auto", 7)])
def test_the_stem_is_torchvisions_own_on_a_cpu_unless_asked_otherwise(stem: str, size: int) -> None:
    network = build(10, stem, CPU, np.zeros((2, 3, 32, 32), np.uint8), seeded())
    assert network.backbone.conv1.kernel_size == (size, size)
    assert network.eval()(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 10)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    images = np.zeros((2, 3, 16, 16), np.uint8)
    one, same, other = (build(3, "auto", CPU, images, seeded(s)).head.weight for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (1, 3), (4, 1), (5, 4)])
def test_leaving_padding_out_of_a_convolution_changes_no_result(
    stride: int, height: int, width: int
) -> None:
    images = torch.randn(4, 8, height, width, generator=seeded())
    short = Conv3x3(8, 6, stride)
    full = torch.nn.Conv2d(8, 6, 3, stride, padding=1, bias=False)
    full.load_state_dict(short.state_dict())
    for conv in (short, full):
        conv(images).square().sum().backward()
    assert torch.allclose(short(images), full(images), atol=1e-6)
    assert torch.allclose(short.weight.grad, full.weight.grad, atol=1e-4)
