"""Encoders: any network of timm, from a hub or from a file."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from encoders import at, frozen
from hub import RESNET, VIT, Hub, hub, use, weights_of
from safetensors.torch import load, save_file
from squares import CPU, of_squares
from torch import Tensor
from waiting import until

from al_core.config import ModelConfig
from al_core.errors import ConfigError, WeightsError
from al_core.features.embed import frozen_features
from al_core.features.encoders.catalogue import ENCODERS, FREE, best_for
from al_core.features.encoders.find import encoder_of, opened
from al_core.progress import Progress, finish


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as started:
        use(started.address, str(home / "hub"), monkeypatch)
        started.offer(VIT, weights_of(VIT))
        yield started


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return load(weights_of(VIT))


def of_timm(name: str, tensors: dict[str, Tensor], images: Tensor, size: int) -> Tensor:
    """What timm's own network makes of images, as timm says to show them to it."""
    network = timm.create_model(name.removeprefix("timm/"), num_classes=0, img_size=size)
    network.load_state_dict({n: t for n, t in tensors.items() if not n.startswith("head.")})
    how = timm.data.resolve_model_data_config(network)
    mean, std = (torch.tensor(how[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        return network.eval()((images / 255 - mean) / std)


def test_an_encoder_by_name_is_downloaded_once_and_sees_what_timm_sees(
    served: Hub, tensors: dict[str, Tensor]
) -> None:
    images = torch.randint(0, 256, (5, 3, 160, 160), dtype=torch.uint8)
    reports: list[Progress] = []
    for turn in range(2):
        encoder = finish(encoder_of(frozen(VIT), ""), reports.append)
        assert (encoder.width, encoder.square.size, encoder.square.squashed) == (64, 160, False)
        ours = encoder.build(CPU).embed(images)
        assert torch.allclose(ours, of_timm(VIT, tensors, images, 160), atol=1e-4)
        assert len(served.sent) == 1, turn
    features = finish(frozen_features(frozen(VIT), of_squares(), CPU))
    assert (features.train.shape, features.test.shape) == ((60, 64), (30, 64))
    assert len(served.sent) == 1


def test_a_connection_that_breaks_is_taken_up_and_what_was_cancelled_leaves_nothing(
    served: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    content = served.files[f"{VIT}/model.safetensors"]
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    served.breaks_after = len(content) // 2
    work = encoder_of(frozen(VIT), "")
    assert next(report for report in work if report.unit == "bytes" and report.done)
    work.close()
    until(lambda: not [*(home / "hub").rglob("*.incomplete")])
    assert not [*(home / "hub").rglob("*.safetensors")]

    def mended(report: Progress) -> None:
        if report.done:
            served.breaks_after = None

    assert finish(encoder_of(frozen(VIT), ""), mended).build(CPU)
    assert not served.sent[-1].endswith("from 0")


def test_what_stands_in_the_way_of_weights_is_said_in_a_sentence_before_anything_begins(
    served: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(name: str) -> str:
        with pytest.raises(WeightsError) as early:
            finish(opened(frozen(name), ""))
        with pytest.raises(WeightsError) as late:
            finish(encoder_of(frozen(name), ""))
        assert str(early.value) == str(late.value)
        return str(late.value)

    assert "timm has no network “vit_nano”" in said("timm/vit_nano")
    assert "did you mean test_vit" in said("timm/test_vitt.r160_in1k")
    assert f"There is no {RESNET} at {served.address}" in said(RESNET)
    served.gated.add(RESNET)
    assert "accepted its licence: do so on its page and set HF_TOKEN" in said(RESNET)
    served.gated.clear()
    served.offer(RESNET, b"", "README.md")
    assert f"{RESNET} at {served.address} has no model.safetensors" in said(RESNET)
    use("http://127.0.0.1:9", str(home / "hub"), monkeypatch)
    there = said(VIT)
    assert f"{VIT} at http://127.0.0.1:9 cannot be downloaded (no answer)" in there
    assert "set HF_ENDPOINT to a mirror that can be reached, or HF_HOME" in there


def test_a_full_disk_is_said_in_a_sentence(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(WeightsError, match=r"does not fit on the disk of .*: make room there"):
        finish(encoder_of(frozen(VIT), ""))


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.encoder."])
def test_a_file_of_any_architecture_is_read_whatever_stands_before_its_names(
    tensors: dict[str, Tensor], tmp_path: Path, prefix: str
) -> None:
    other_head = tensors | {"head.weight": torch.zeros(7, 64), "head.bias": torch.zeros(7)}
    named = {prefix + name: tensor for name, tensor in other_head.items()}
    images = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    expected = of_timm(VIT, tensors, images, 160)
    plain, told, noted = tmp_path / "mine.pth", tmp_path / "test_vit.pt", tmp_path / "noted"
    torch.save({"state_dict": named, "epoch": 3}, plain)
    torch.save(named, told)
    noted.mkdir()
    save_file(named, noted / "model.safetensors")
    (noted / "config.json").write_text(json.dumps({"architecture": "test_vit"}))
    for path, architecture in ((plain, "test_vit"), (told, ""), (noted / "model.safetensors", "")):
        encoder = at(path, 160, architecture=architecture)
        assert torch.allclose(encoder.build(CPU).embed(images), expected, atol=1e-4)


def test_a_network_is_shown_images_of_another_size_where_it_can_be(
    tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "test_vit.safetensors"
    save_file(tensors, path)
    images = torch.randint(0, 256, (2, 3, 96, 96), dtype=torch.uint8)
    assert at(path, 96).build(CPU).embed(images).shape == (2, 64)
    assert at(path, 96).digest == at(path, 160).digest
    for too_odd in (lambda: at(path, 100), lambda: finish(opened(frozen(path), "", 100))):
        with pytest.raises(WeightsError, match="takes no images of 100 pixels a side"):
            too_odd()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: {n: x for n, x in t.items() if n != "blocks.3.mlp.fc1.weight"},
         r"holds no test_vit"),
        (lambda t: t | {"blocks.9.norm1.weight": torch.ones(64)}, r"holds no test_vit"),
        (lambda t: t | {"norm.weight": torch.full((64,), float("nan"))},
         r"its norm\.weight has NaN or infinite values"),
        (lambda t: t | {"norm.weight": torch.ones(65)}, r"holds no test_vit"),
        (lambda t: t | {"module.norm.weight": torch.zeros(64)}, r"two networks"),
    ],
)  # fmt: skip
def test_a_file_that_holds_another_network_or_no_numbers_is_refused(
    tensors: dict[str, Tensor], tmp_path: Path, change, sentence: str
) -> None:
    path = tmp_path / "mine.safetensors"
    save_file({n: x.contiguous() for n, x in change(dict(tensors)).items()}, path)
    with pytest.raises(WeightsError, match=sentence):
        finish(opened(frozen(path, architecture="test_vit"), ""))


def test_an_encoder_is_a_setting_of_linear_heads_alone() -> None:
    with pytest.raises(ConfigError, match="on an encoder train a linear head"):
        ModelConfig(VIT)
    with pytest.raises(ConfigError, match="no weights “dinov2”"):
        ModelConfig("dinov2", head="linear")
    assert frozen(VIT).located() == frozen(VIT)


def test_what_is_offered_is_known_to_timm_by_name_licence_width_and_size() -> None:
    for one in ENCODERS.values():
        if not one.name.startswith("timm/"):
            continue
        name = one.name.removeprefix("timm/")
        said = timm.models.get_pretrained_cfg(name)
        assert said.hf_hub_id == one.name
        with torch.device("meta"):
            network = timm.create_model(name, num_classes=0, **(
                {"img_size": one.size} if said.fixed_input_size else {}
            ))  # fmt: skip
            shown = torch.empty(1, 3, one.size, one.size)
        assert network.eval()(shown).shape == (1, one.width)
        weights = sum(p.numel() for p in network.parameters()) * 4e-6
        assert weights <= one.megabytes <= weights + 60, one  # and a head that tells classes
        free = said.license in ("apache-2.0", "mit", "bsd-3-clause")
        assert one.is_free == free, (one, said.license)
    assert FREE


def test_the_best_that_can_be_had_and_is_soon_done_is_what_photographs_start_with() -> None:
    names = frozenset(ENCODERS)
    quick, slow = best_for(1000, 5000.0, names), best_for(100_000, 5.0, names)
    assert quick.title == "CLIP base"
    others = names - {quick.name}
    assert best_for(1000, 5000.0, others).title == "DINOv2 base"
    assert slow.cost == min(one.cost for one in ENCODERS.values() if one.is_free)
    assert best_for(1000, 5000.0, frozenset()) is None
    licensed = frozenset(name for name, one in ENCODERS.items() if not one.is_free)
    assert best_for(1000, 5000.0, licensed) is None  # chosen by nobody but a person
    costs = np.array([one.cost for one in ENCODERS.values()])
    assert (costs > 0).all()
