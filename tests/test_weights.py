"""ImageNet weights, from a server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from al_core.errors import WeightsError
from al_core.models.hardware import Hardware
from al_core.models.network import build
from al_core.models.weights import imagenet_weights
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
