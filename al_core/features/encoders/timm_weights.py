"""Any network of timm as an encoder, with its weights from a hub or from a file."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from al_core.config import TIMM
from al_core.errors import WeightsError
from al_core.features.encoders.encoder import Encoder, EncoderNetwork
from al_core.features.encoders.fast import faster
from al_core.features.encoders.weights_file import (
    check_download,
    check_finite,
    digest_of,
    downloaded,
)
from al_core.models.hardware import Hardware, find_hardware
from al_core.models.weights import PREFIXES, read_tensors
from al_core.pictures.square import Square
from al_core.progress import Work

logging.getLogger("timm").setLevel(logging.ERROR)  # what is wrong is said in errors
FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository; the first that is there
LARGEST = 256  # pixels a side, unless a network takes no others: the cost grows with their square
HEADS = ("head", "fc", "classifier")  # what networks call the layer that tells classes
IN_FP32 = "efficientnet"  # networks with this in their names, whatever the processor has
NOTE = "config.json"  # beside a file of weights, as timm writes it


def timm_encoder(name: str, size: int | None = None) -> Work[Encoder]:
    """The encoder ``timm/NAME``, NAME as timm has it, for images of ``size`` pixels, its own if
    None. Raises WeightsError where timm has none, or its weights cannot be had."""
    of = _network(name.removeprefix(TIMM), size)
    path = yield from downloaded(of.repository, FILES)
    return _encoder(name, of, path)


def check_timm(name: str, size: int | None) -> None:
    """Raise WeightsError as :func:`timm_encoder` does, without downloading anything."""
    check_download(_network(name.removeprefix(TIMM), size).repository, FILES)


def encoder_of_file(path: Path, architecture: str, size: int | None = None) -> Encoder:
    """The same of weights in a file, whose ``architecture`` timm knows by this name. That they are
    those of such a network is seen when it is built."""
    encoder = _encoder(str(path), _network(architecture, size), path)
    return replace(encoder, architecture=architecture)


def architecture_of(path: Path) -> str:
    """Timm's name for the network in a file, as far as something says it: a ``config.json`` beside
    it, or its own name; "" where nothing does."""
    with suppress(OSError, ValueError):
        said = json.loads((path.parent / NOTE).read_text(encoding="utf-8")).get("architecture")
        if isinstance(said, str) and is_architecture(said):
            return said
    for name in (path.stem, path.stem.rpartition("-")[0], path.parent.name):
        if name and is_architecture(name):
            return name
    return ""


def is_architecture(name: str) -> bool:
    """Whether timm has a network of this name, with or without the name of its weights."""
    import timm

    return bool(timm.is_model(name))


@lru_cache(16)
def _network(name: str, size: int | None) -> _Network:
    """Cached: each round of a head asks which features it learns from."""
    return _Network(name, size)


class _Network:
    """What timm knows of a network: its ``name``, and how images are shown to it, with a side of
    ``size`` pixels. Raises WeightsError where there is none, or it does not take that size."""

    def __init__(self, name: str, size: int | None) -> None:
        from timm.models import get_pretrained_cfg

        if not is_architecture(name):
            raise WeightsError(f"timm has no network “{name}”{_alike(name)}.")
        self.name = name
        found = get_pretrained_cfg(name)
        self.config: dict[str, Any] = asdict(found) if found else {}
        side = int(self.config.get("input_size", (3, 224, 224))[-1])
        self.size = size or (side if side <= LARGEST else 224)
        self.mean = tuple(self.config.get("mean", (0.485, 0.456, 0.406)))
        self.std = tuple(self.config.get("std", (0.229, 0.224, 0.225)))
        try:
            shown = torch.empty(1, 3, self.size, self.size, device="meta")
            self.width = int(self.empty().eval()(shown).shape[1])
        except Exception as error:  # an assertion, or whatever shapes trip over
            cause = " ".join(str(error).split())[:200].rstrip(".")
            raise WeightsError(
                f"{name} takes no images of {self.size} pixels a side ({cause})."
            ) from error

    @property
    def repository(self) -> str:
        """Where a hub has its weights. Raises WeightsError where it has none."""
        if not (found := self.config.get("hf_hub_id")):
            raise WeightsError(f"timm has the network {self.name}, but no weights of that name.")
        return str(found)

    @property
    def square(self) -> Square:
        """How it takes a picture: whole, unless it learned from squashed ones."""
        red, green, blue = (round(255 * each) for each in self.mean)
        return Square(self.size, (red, green, blue), self.config.get("crop_mode") == "squash")

    def empty(self) -> nn.Module:
        """The network without weights, on no device."""
        import timm

        with torch.device("meta"):
            network: nn.Module = timm.create_model(self.name, **self._how)
        return network

    def loaded(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The network with ``tensors`` that are its own, but for another head."""
        network = self.empty()
        own = {name: tensors[name] for name in network.state_dict()}
        network.load_state_dict(own, assign=True)
        if any(buffer.is_meta for buffer in network.buffers()):  # computed, and not in any file
            network = self._random()
            network.load_state_dict(own)
        return network

    def converted(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The network with ``tensors`` that timm can make its own: by the names of those who
        published it, or for images of another size. Raises whatever its filters trip over."""
        body = {name: t for name, t in tensors.items() if not self._is_of_head(name)}
        overlay = {"state_dict": body, "custom_load": False, "source": None}
        return self._random(pretrained=True, pretrained_cfg_overlay=overlay)

    def lacks(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether some of its tensors are not there, or of another shape."""
        wanted = self.empty().state_dict().items()
        return any(n not in tensors or tensors[n].shape != t.shape for n, t in wanted)

    def beyond(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """The names of ``tensors`` that it does not have, though it has some that begin alike, as a
        deeper network would have them."""
        wanted = self.empty().state_dict()
        parts = {name.partition(".")[0] for name in wanted}
        more = [n for n in tensors if n not in wanted and n.partition(".")[0] in parts]
        return [name for name in more if not self._is_of_head(name)]

    def _random(self, **how: Any) -> nn.Module:
        """The network as timm makes it: what it draws at random, weights then replace."""
        import timm

        with torch.random.fork_rng(devices=[]):
            network: nn.Module = timm.create_model(self.name, **self._how, **how)
        return network

    @property
    def _how(self) -> dict[str, Any]:
        sized = {"img_size": self.size} if self.config.get("fixed_input_size") else {}
        return {"num_classes": 0, **sized}

    def _is_of_head(self, name: str) -> bool:
        own = self.config.get("classifier") or ()
        heads = (own,) if isinstance(own, str) else tuple(own)
        return name.startswith(tuple(f"{head}." for head in (*heads, *HEADS)))


def _alike(name: str) -> str:
    import difflib

    import timm

    near = difflib.get_close_matches(name, timm.list_models(pretrained=True), 3, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _encoder(name: str, of: _Network, path: Path) -> Encoder:
    # The fast one: heads on it are as good, and choices other than in fp32, but no worse. Those of
    # an EfficientNet differ most, and Margin's were worse (benchmarks/RESULTS.md).
    dtype = torch.float32 if IN_FP32 in of.name else find_hardware().dtype
    about = (of.name.partition(".")[0], of.mean, of.std, of.square.squashed, dtype)
    read, make = partial(read_tensors, path), partial(_built, of, path)
    return Encoder(name, digest_of(path, about), of.width, of.square, read, make, dtype)


def _built(
    of: _Network, path: Path, tensors: Mapping[str, Tensor], hardware: Hardware
) -> EncoderNetwork:
    """The network with the tensors of a file, checked. Raises WeightsError."""
    tensors = _bare(tensors, path)
    if of.lacks(tensors):
        network = _converted(of, tensors, path)
    elif beyond := of.beyond(tensors):
        raise WeightsError(f"{path} holds no {of.name}, which has no {beyond[0]}.")
    else:
        network = of.loaded(tensors)
    check_finite(network, path)
    return EncoderNetwork(faster(network.eval(), hardware), of.mean, of.std, hardware)


def _converted(of: _Network, tensors: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The network with the tensors of a file that are not its own as they stand."""
    try:
        network = of.converted(tensors)
        # What no tensor has gone into would be noise: so, once more, with what is no number.
        marked = {name: torch.full_like(t, torch.nan) if t.is_floating_point() else t
                  for name, t in tensors.items()}  # fmt: skip
        left = [n for n, p in of.converted(marked).named_parameters() if not p.isnan().all()]
    except Exception as error:  # timm's filters raise whatever other tensors happen to trip over
        cause = " ".join(str(error).split())[:200].rstrip(".")
        raise WeightsError(f"{path} holds no {of.name} ({cause}).") from error
    if left:
        raise WeightsError(f"{path} holds no {of.name}: its {left[0]} is missing.")
    return network


def _bare(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Tensors by the names of the network alone, in single precision."""
    bare: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = PREFIXES.sub("", name)
        if short in bare and not torch.equal(bare[short], tensor):
            raise WeightsError(f"{path} holds two networks: it has {short} twice.")
        bare[short] = tensor.float() if tensor.is_floating_point() else tensor
    return bare
