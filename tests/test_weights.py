"""Weights to start from: files of all kinds, and ImageNet's from a server on this machine."""

import hashlib
import itertools
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import resnet18, resnet34

from al_core.errors import WeightsError
from al_core.models.hardware import Hardware
from al_core.models.network import build
from al_core.models.weights import imagenet_weights, pretrained_weights, read_weights
from al_core.progress import finish

CPU = Hardware(torch.device("cpu"), torch.float32)
NOWHERE = "http://127.0.0.1:1/resnet18-0123abcd.pth"  # nobody listens on that port


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, dict]]:
    """The address of a file of weights, named by its own hash as torchvision does."""
    weights = resnet18(weights=None).state_dict()
    torch.save(weights, tmp_path / "weights.pth")
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    (tmp_path / "weights.pth").rename(tmp_path / f"resnet18-{digest[:8]}.pth")
    handler = partial(Quiet, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/resnet18-{digest[:8]}.pth", weights
        server.shutdown()


def test_imagenet_weights_are_downloaded_once_and_built_upon(mirror: tuple, cache: Path) -> None:
    url, weights = mirror
    reports = []
    loaded = finish(imagenet_weights(url), reports.append)
    assert {report.unit for report in reports} == {"bytes"}
    assert torch.equal(loaded.backbone["layer4.1.conv2.weight"], weights["layer4.1.conv2.weight"])
    assert [path.suffix for path in cache.glob("*.pth")] == [".pth"]
    assert finish(imagenet_weights(NOWHERE.replace("resnet18-0123abcd.pth", url.split("/")[-1])))

    images = np.zeros((2, 3, 32, 32), np.uint8)
    for stem, same_stem in (("torchvision", True), ("small", False)):
        network = build(4, stem, CPU, images, torch.Generator(), loaded)
        kept = network.backbone.state_dict()
        assert torch.equal(kept["layer1.0.conv1.weight"], weights["layer1.0.conv1.weight"])
        assert (kept["conv1.weight"].shape == weights["conv1.weight"].shape) == same_stem
        assert network.head.out_features == 4
        assert network.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_weights_that_cannot_be_downloaded_are_told_in_a_sentence(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"choose the weights “none”, or put resnet18-0123abcd"):
        finish(imagenet_weights(NOWHERE))


def test_weights_that_are_not_the_expected_ones_are_not_used(mirror: tuple, cache: Path) -> None:
    url, _ = mirror
    served = url.split("/")[-1]
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        finish(imagenet_weights(url.replace(served, "resnet18-00000000.pth")))


def test_damaged_weights_in_the_cache_are_told_in_a_sentence(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "resnet18-0123abcd.pth").write_bytes(b"half a file")
    with pytest.raises(WeightsError, match="damaged; delete the file"):
        finish(imagenet_weights(NOWHERE))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """A network's, by torchvision's names."""
    torch.manual_seed(0)
    return dict(resnet18(weights=None).state_dict())


def test_what_wraps_a_network_is_taken_off_its_names_in_any_order(
    tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_file(tensors, "bare.safetensors")
    bare = read_weights(tmp_path / "bare.safetensors")
    prefixes = ["module.", "_orig_mod.", "model.", "encoder.", "backbone."]
    orders = [
        *prefixes,
        *map("".join, itertools.islice(itertools.permutations(prefixes), 0, 120, 17)),
    ]
    wrapped = itertools.cycle(["state_dict", "model", "model_state_dict", None])
    for prefix, wrapper, suffix in zip(
        orders, wrapped, itertools.cycle(["pth", "pt", "bin"]), strict=False
    ):
        named = {prefix + name: tensor for name, tensor in tensors.items()}
        torch.save({"epoch": 3, wrapper: named} if wrapper else named, f"mine.{suffix}")
        for path in (f"mine.{suffix}", f"~/mine.{suffix}", f" {tmp_path}/mine.{suffix}"):
            ours = finish(pretrained_weights(path, ""))
            assert ours
            assert ours.digest == bare.digest, prefix


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("layer1.0.bn1.weight", lambda t: t.index_fill(0, torch.tensor(3), float("nan")),
         r"its layer1\.0\.bn1\.weight has NaN or infinite values"),
        ("conv1.weight", lambda t: t / 0, r"its conv1\.weight has NaN or infinite"),
        ("bn1.running_var", lambda t: -t, r"its bn1\.running_var has negative variances"),
        ("conv1.weight", Tensor.char, r"its conv1\.weight has numbers of type int8"),
        ("layer3.1.conv2.weight", lambda t: t[:, :9],
         r"its layer3\.1\.conv2\.weight is 64 x 9 x 3 x 3, not 64 x 64 x 3 x 3"),
        ("model.bn1.weight", lambda t: torch.zeros(64), r"two networks: it has bn1\.weight twice"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_weights_that_no_network_can_use_are_refused_by_the_name_of_the_tensor(
    tensors: dict[str, Tensor], tmp_path: Path, name: str, change, sentence: str, suffix: str
) -> None:
    changed = {**tensors, name: change(tensors[name.removeprefix("model.")]).contiguous()}
    path = tmp_path / f"mine.{suffix}"
    save_file(changed, path) if suffix == "safetensors" else torch.save(changed, path)
    with pytest.raises(WeightsError, match=sentence):
        read_weights(path)


def test_a_file_that_holds_no_such_network_is_refused_in_a_sentence(
    tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "mine.pth"
    with pytest.raises(WeightsError, match=r"There is no file of weights .*mine\.pth\.$"):
        read_weights(path)
    for saved, sentence in (
        (
            resnet34(weights=None).state_dict(),
            r"no ResNet-18, which has no layer1\.2\.conv1\.weight",
        ),
        ({"fc.weight": torch.zeros(2)}, r"no ResNet-18: its conv1\.weight is missing"),
        (resnet18(weights=None), "holds code, which is not run: save the state_dict"),
        ([1, 2], "cannot be read as a file of weights"),
    ):
        torch.save(saved, path)
        with pytest.raises(WeightsError, match=sentence):
            read_weights(path)
    torch.save(tensors, path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="it is damaged"):
        read_weights(path)
