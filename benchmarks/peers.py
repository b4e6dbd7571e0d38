"""Who a round is compared with: the loop most people write, baal and scikit-activeml as they come.

The latter two are in ``benchmarks/requirements.txt``; one that is not installed is left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import resnet18

from al_core.models.network import Network, channel_statistics

BATCH, ASKED = 128, 1000


@dataclass(frozen=True)
class Peer:
    """Whoever can ``score`` the images it was made for, and ``choose`` 1,000 by margin of what it
    said of them."""

    score: Callable[[], Any]
    choose: Callable[[Any], object]


class Pictures(Dataset):
    """PIL images with their targets, as torchvision's datasets hold them."""

    def __init__(self, images: np.ndarray, targets: np.ndarray) -> None:
        self.images = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
        self.targets = targets.tolist()
        mean, std = channel_statistics(images)
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(mean, std)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(self.images[place]), self.targets[place]


def plain_network(network: Network) -> nn.Module:
    """torchvision's own ResNet-18 with the weights and the stem of ``network``, on its device."""
    plain = resnet18(weights=None, num_classes=network.head.out_features)
    if isinstance(network.backbone.maxpool, nn.Identity):
        plain.conv1, plain.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    tensors = dict(network.backbone.state_dict())
    tensors |= {f"fc.{name}": tensor for name, tensor in network.head.state_dict().items()}
    plain.load_state_dict(tensors)
    return plain.eval().to(network.mean.device)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def plain_epoch(network: nn.Module, pictures: Pictures) -> None:
    """One epoch of training by the plain loop."""
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for x, y in DataLoader(pictures, batch_size=BATCH, shuffle=True, num_workers=2):
        optimizer.zero_grad()
        x, y = x.to(_device(network)), y.to(_device(network))
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    network.eval()


def plain(network: nn.Module, pictures: Pictures) -> Peer:
    """The plain loop, ``network`` in eval mode."""

    def score() -> Tensor:
        with torch.no_grad():
            loader = DataLoader(pictures, batch_size=BATCH, num_workers=2)
            return torch.cat([network(x.to(_device(network))).softmax(1).cpu() for x, _ in loader])

    def choose(probs: Tensor) -> object:
        best = probs.topk(2).values
        return (best[:, 0] - best[:, 1]).argsort()[:ASKED]

    return Peer(score, choose)


def baal(network: nn.Module, pictures: Pictures) -> Peer:
    from baal.active.heuristics import Margin
    from baal.modelwrapper import ModelWrapper, TrainingArgs

    wrapper = ModelWrapper(network, TrainingArgs())
    return Peer(
        lambda: wrapper.predict_on_dataset(pictures, iterations=1, verbose=False),
        lambda said: Margin()(said)[:ASKED],
    )


def skactiveml(network: nn.Module, pictures: Pictures) -> Peer:
    from skactiveml.classifier import SkorchClassifier
    from skactiveml.pool import uncertainty_scores
    from skactiveml.utils import simple_batch

    x = torch.stack([pictures[i][0] for i in range(len(pictures))]).numpy()
    classifier = SkorchClassifier(
        network,
        classes=sorted(set(pictures.targets)),
        neural_net_param_dict={"max_epochs": 0, "verbose": 0, "train_split": None},
    )
    classifier.fit(x[:8], np.array(pictures.targets[:8]))

    def choose(probs: np.ndarray) -> object:
        return simple_batch(uncertainty_scores(probs, method="margin_sampling"), batch_size=ASKED)

    return Peer(lambda: classifier.predict_proba(x), choose)


def installed_peers(network: Network, pictures: Pictures) -> dict[str, Peer]:
    """All of them that are installed, with the weights of ``network``."""
    warnings.simplefilter("ignore")
    found = {}
    for peer in (plain, baal, skactiveml):
        try:
            found[peer.__name__] = peer(plain_network(network), pictures)
        except ImportError as error:
            print(f"{peer.__name__} is left out ({error})")
    return found
