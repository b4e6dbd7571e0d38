"""Network weights on disk: those of each round, and ImageNet's to start from."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import ResNet18_Weights

from al_core.download import download
from al_core.errors import DownloadError, WeightsError
from al_core.network import Hardware, Network
from al_core.progress import Work
from al_core.store import home


def weights_path(experiment_id: int, number: int) -> Path:
    """Where the network of round ``number`` is kept."""
    return home() / "weights" / str(experiment_id) / f"round-{number}.safetensors"


def save_network(network: Network, path: Path) -> None:
    """Write a network to ``path``, whole or not at all; raises WeightsError if it cannot be."""
    half = path.with_suffix(f".{os.getpid()}.part")
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, half)
        half.replace(path)
    except (OSError, SafetensorError) as error:
        half.unlink(missing_ok=True)
        raise WeightsError(
            f"The weights cannot be saved to {path} ({error}); make room on the disk, or allow "
            "writing there, and start the round again."
        ) from error


def load_network(path: Path, hardware: Hardware) -> Network:
    """The network saved at ``path``, on ``hardware``; raises WeightsError if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        small_stem = tensors["backbone.conv1.weight"].shape[2] == 3
        with torch.device("meta"):
            network = Network(len(tensors["head.bias"]), small_stem, (0, 0, 0), (1, 1, 1))
        network.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise WeightsError(
            f"The weights at {path} are missing or damaged; the next round writes new ones."
        ) from error
    return network.to(hardware.device).to(memory_format=torch.channels_last)


def imagenet_weights(url: str = ResNet18_Weights.DEFAULT.url) -> Work[dict[str, Tensor]]:
    """torchvision's ImageNet weights of ResNet-18, downloaded once into torch's own cache.

    Raises WeightsError when they can neither be found nor downloaded.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if not path.exists():
        try:
            yield from download([url], path, checksum=f"sha256:{_hash_in(path)}")
        except DownloadError as error:
            raise WeightsError(
                f"The ImageNet weights cannot be downloaded: choose the weights “none”, or put "
                f"{path.name} into {path.parent}."
            ) from error
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damage happens to trip over
        raise WeightsError(
            f"The ImageNet weights at {path} are damaged; delete the file."
        ) from error
    return weights


def _hash_in(path: Path) -> str:
    """The first digits of the file's SHA-256, which torchvision keeps in its name."""
    return path.stem.rsplit("-", 1)[1]
