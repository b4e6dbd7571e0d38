"""Network weights on disk: those of each round, and initial ones."""

from __future__ import annotations

import math
from hashlib import blake2b
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torchvision.models import ResNet18_Weights

from al_core.config import LEARNED
from al_core.errors import DownloadError, WeightsError
from al_core.files.atomic import whole_file
from al_core.files.download import download
from al_core.models.hardware import Hardware
from al_core.models.learned_weights import learned_path
from al_core.models.network import IMAGENET_MEAN, IMAGENET_STD, Network, Pretrained
from al_core.progress import Work


def weights_path(experiment: Path, number: int) -> Path:
    """The file of the network of round ``number``."""
    return experiment / f"round-{number}.safetensors"


def save_network(network: Network, path: Path) -> None:
    """Write a network to ``path``, whole or not at all; raises FileNotWritten if it cannot be."""
    _save(network.state_dict(), path)


def save_backbone(network: Network, path: Path, card: dict[str, str]) -> None:
    """Write what features need of a network to ``path``, whole or not at all, for
    :func:`read_weights`: in half precision, 22 MB, with a ``card`` as metadata. Batch norm's
    statistics and the normalisation are small, and stay in single precision. Raises FileNotWritten
    if it cannot be written."""
    tensors = {"mean": network.mean, "std": network.std}
    tensors |= {name: tensor.half() for name, tensor in network.backbone.named_parameters()}
    tensors |= {
        name: tensor
        for name, tensor in network.backbone.named_buffers()
        if tensor.is_floating_point()
    }
    _save(tensors, path, card)


def _save(tensors: dict[str, Tensor], path: Path, card: dict[str, str] | None = None) -> None:
    with whole_file(path) as file:
        # As bytes: a file written by safetensors is readable by its owner alone, and its errors
        # are not OSErrors.
        file.write(save({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, card))


def load_network(path: Path, hardware: Hardware) -> Network:
    """The network saved at ``path``, on ``hardware``; raises WeightsError if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        small_stem = tensors["backbone.conv1.weight"].shape[2] == 3
        with torch.device("meta"):
            network = Network(len(tensors["head.bias"]), small_stem, (0, 0, 0), (1, 1, 1))
        network.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, LookupError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"The weights at {path} are missing or damaged; the next round writes new ones."
        ) from error
    return network.to(hardware.device).to(memory_format=torch.channels_last)


def pretrained_weights(weights: str, fingerprint: str) -> Work[Pretrained | None]:
    """The weights an experiment starts from, by name or path; None for ``none``. ``learned`` ones
    belong to the images with this ``fingerprint``.

    Raises WeightsError where they cannot be found, downloaded or used.
    """
    if weights == "none":
        return None
    if weights == "imagenet":
        return (yield from imagenet_weights())
    if weights == LEARNED:
        path = learned_path(fingerprint)
        if not path.exists():
            raise WeightsError(
                "No features have been learned from these images yet: let the page do it, or "
                "“python -m al_core pretrain”."
            )
        return read_weights(path)
    return read_weights(Path(weights))


def imagenet_weights(url: str = ResNet18_Weights.DEFAULT.url) -> Work[Pretrained]:
    """torchvision's ImageNet weights of ResNet-18, downloaded once into torch's own cache.

    Raises WeightsError if they can neither be found nor downloaded.
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
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the damage happens to trip over
        raise WeightsError(
            f"The ImageNet weights at {path} are damaged; delete the file."
        ) from error
    return _pretrained(tensors, path)


def read_weights(path: Path) -> Pretrained:
    """ResNet-18 weights from a ``.safetensors`` file, by torchvision's or this project's names.
    Without ``mean`` and ``std`` of the pixels in the file, ImageNet's are used.

    Raises WeightsError where the file is missing or holds no such network.
    """
    try:
        tensors = load_file(path)
    # safetensors raises these for an unknown dtype or an invalid path.
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} cannot be read as a .safetensors file ({error}).") from error
    return _pretrained(tensors, path)


def _pretrained(tensors: dict[str, Tensor], path: Path) -> Pretrained:
    tensors = {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}
    small_stem = "conv1.weight" in tensors and tensors["conv1.weight"].shape[2:] == (3, 3)
    with torch.device("meta"):
        network = Network(1, small_stem, (0, 0, 0), (1, 1, 1))
    backbone = {}
    for name, expected in network.backbone.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in tensors or tensors[name].shape != expected.shape:
            raise WeightsError(
                f"{path} holds no ResNet-18: its {name} is missing or of another size."
            )
        backbone[name] = tensors[name].float()
    digest = blake2b(digest_size=8)
    for name, tensor in backbone.items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    mean, std = list(IMAGENET_MEAN), list(IMAGENET_STD)
    if "mean" in tensors and "std" in tensors:
        mean, std = (tensors[name].float().flatten().tolist() for name in ("mean", "std"))
        if len(mean) != 3 or len(std) != 3 or not all(map(math.isfinite, mean)) or not min(std) > 0:
            raise WeightsError(f"{path} has no mean and standard deviation of three colours.")
    digest.update(repr((mean, std)).encode())
    return Pretrained(backbone, mean, std, digest.hexdigest())


def _hash_in(path: Path) -> str:
    """The first digits of the file's SHA-256, which torchvision puts in its name."""
    return path.stem.rsplit("-", 1)[1]
