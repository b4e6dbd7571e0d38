"""Network weights on disk: those of each round, and initial ones."""

from __future__ import annotations

import math
import re
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torchvision.models import ResNet18_Weights

from al_core.config import LEARNED
from al_core.errors import DownloadError, WeightsError
from al_core.files.atomic import whole_file
from al_core.files.download import download
from al_core.files.paths import located
from al_core.models.hardware import Hardware
from al_core.models.learned_weights import learned_path
from al_core.models.network import IMAGENET_MEAN, IMAGENET_STD, Network, Pretrained
from al_core.progress import Work

# What is put before the names of a network by whatever it is part of.
PREFIXES = re.compile(r"^((module|_orig_mod|model|encoder|backbone)\.)+")
PARTS = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")  # of a ResNet, but its last layer
# The images, in pixels a side, that ResNets learn from: torchvision's, and this project's.
THEIRS, OURS = 224, 32
WRAPPERS = ("state_dict", "model_state_dict", "model")  # the part of a checkpoint that is weights


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
    return read_weights(located(weights))


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
        return read_weights(path)
    except WeightsError as error:
        raise WeightsError(
            f"The ImageNet weights at {path} are damaged; delete the file."
        ) from error


def read_weights(path: Path) -> Pretrained:
    """ResNet-18 weights from a ``.safetensors`` file, or from what ``torch.save`` wrote, by
    torchvision's or this project's names, behind any PREFIXES and inside any WRAPPERS. Without
    ``mean`` and ``std`` of the pixels in the file, ImageNet's are used.

    Raises WeightsError where the file is missing or holds no such network, or holds numbers that
    no network can compute with. No code in it is run.
    """
    return _pretrained(read_tensors(path), path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, by name, inside any WRAPPERS. Raises WeightsError where it
    is missing or holds none. No code in it is run."""
    try:
        if not path.is_file():
            raise WeightsError(f"There is no file of weights {path}.")
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if not (named := _unwrapped(saved)):
            known = ", ".join(WRAPPERS)
            raise WeightsError(f"{path} holds no tensors by name, neither at once nor in {known}.")
        return named
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # both libraries raise whatever the damage happens to trip over
        if "GLOBAL" in str(error) or "TorchScript" in str(error):
            raise WeightsError(
                f"{path} holds code, which is not run: save the state_dict of the network alone."
            ) from error
        raise WeightsError(
            f"{path} cannot be read as a file of weights: it is damaged, or neither torch.save nor "
            "safetensors wrote it."
        ) from error


def _unwrapped(saved: Any) -> dict[str, Tensor]:
    """The tensors in what was saved with torch, by name, with their WRAPPERS taken off."""
    for _ in range(len(WRAPPERS)):
        inner = (saved[name] for name in WRAPPERS if isinstance(saved.get(name), dict))
        saved = next(inner, saved)
    return {name: tensor for name, tensor in saved.items() if isinstance(tensor, Tensor)}


def _pretrained(named: dict[str, Tensor], path: Path) -> Pretrained:
    tensors: dict[str, Tensor] = {}
    for name, tensor in named.items():
        bare = PREFIXES.sub("", name)
        is_ours = bare.partition(".")[0] in PARTS
        if is_ours and bare in tensors and not torch.equal(tensors[bare], tensor):
            raise WeightsError(f"{path} holds two networks: it has {bare} twice.")
        tensors[bare] = tensor
    small_stem = "conv1.weight" in tensors and tensors["conv1.weight"].shape[2:] == (3, 3)
    with torch.device("meta"):
        expected = Network(1, small_stem, (0, 0, 0), (1, 1, 1)).backbone.state_dict()
    for name in tensors:  # a deeper network has all of ResNet-18's, and more
        if name.partition(".")[0] in PARTS and name not in expected:
            raise WeightsError(f"{path} holds no ResNet-18, which has no {name}.")
    backbone = {}
    for name, like in expected.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in tensors:
            raise WeightsError(f"{path} holds no ResNet-18: its {name} is missing.")
        if tensors[name].shape != like.shape:
            is_, ought = (" x ".join(map(str, one.shape)) for one in (tensors[name], like))
            raise WeightsError(f"{path} holds no ResNet-18: its {name} is {is_}, not {ought}.")
        if not tensors[name].is_floating_point():
            kind = str(tensors[name].dtype).removeprefix("torch.")
            raise WeightsError(f"{path} cannot be used: its {name} has numbers of type {kind}.")
        backbone[name] = tensors[name].detach().float()
        if not backbone[name].isfinite().all():
            raise WeightsError(f"{path} cannot be used: its {name} has NaN or infinite values.")
        if name.endswith("running_var") and backbone[name].min() < 0:
            raise WeightsError(f"{path} cannot be used: its {name} has negative variances.")
    digest = blake2b(digest_size=8)
    for name, tensor in backbone.items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    mean, std, size = list(IMAGENET_MEAN), list(IMAGENET_STD), THEIRS
    if "mean" in tensors and "std" in tensors:
        mean, std = (tensors[name].float().flatten().tolist() for name in ("mean", "std"))
        finite = all(map(math.isfinite, mean + std))
        if len(mean) != 3 or len(std) != 3 or not finite or min(std) <= 0:
            raise WeightsError(f"{path} has no mean and standard deviation of three colours.")
        size = OURS
    digest.update(repr((mean, std)).encode())
    return Pretrained(backbone, mean, std, digest.hexdigest(), size)


def _hash_in(path: Path) -> str:
    """The first digits of the file's SHA-256, which torchvision puts in its name."""
    return path.stem.rsplit("-", 1)[1]
