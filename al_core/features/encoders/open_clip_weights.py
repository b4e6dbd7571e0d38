"""The towers of open_clip as an encoder that knows words: its images and texts are embedded beside
each other."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from al_core.config import OPEN_CLIP
from al_core.errors import DownloadError, WeightsError
from al_core.features.encoders.encoder import Encoder, EncoderNetwork, Texts
from al_core.features.encoders.fast import faster
from al_core.features.encoders.weights_file import (
    check_download,
    check_finite,
    digest_of,
    downloaded,
)
from al_core.files.hub import NotThere, cached, fetched
from al_core.models.hardware import Hardware, find_hardware
from al_core.pictures.square import Square
from al_core.progress import Work

NOTE = "open_clip_config.json"  # in a repository that says itself what its towers are
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # the first that is there
OF_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
AT_ONCE = 64  # texts
SOME = 5  # names that an error lists
INSTALL = "install it by “pip install -r requirements-text.txt”"


@dataclass(frozen=True, slots=True)
class _Towers:
    """What is known of a pair of towers: the ``repository`` of its weights, which are one of
    ``files``; its ``config`` as open_clip has it, how images are shown to it (``shown``), and the
    name of ``built_in`` towers."""

    name: str
    repository: str
    files: tuple[str, ...]
    config: dict[str, Any] = field(compare=False)
    shown: dict[str, Any] = field(compare=False)
    built_in: str = ""

    @property
    def width(self) -> int:
        return int(self.config["embed_dim"])

    @property
    def size(self) -> int:
        size = self.config["vision_cfg"].get("image_size", 224)
        return int(size if isinstance(size, int) else size[0])

    @property
    def mean(self) -> tuple[float, ...]:
        from open_clip.constants import OPENAI_DATASET_MEAN

        return tuple(self.shown.get("mean") or OPENAI_DATASET_MEAN)

    @property
    def std(self) -> tuple[float, ...]:
        from open_clip.constants import OPENAI_DATASET_STD

        return tuple(self.shown.get("std") or OPENAI_DATASET_STD)

    def square(self, size: int | None) -> Square:
        """How it takes a picture: whole, unless it learned from squashed ones."""
        red, green, blue = (round(255 * each) for each in self.mean)
        is_squashed = self.shown.get("resize_mode") == "squash"
        return Square(size or self.size, (red, green, blue), is_squashed)

    def read(self, path: Path, size: int | None = None) -> nn.Module:
        """Both towers with the weights of a file, in fp32. No code in it is run. Raises
        WeightsError."""
        import open_clip

        of = self.built_in or f"local-dir:{path.parent}"
        quick = bool(self.shown.get("quick_gelu") or self.config.get("quick_gelu"))
        sized = {} if size in (None, self.size) else {"force_image_size": size}
        try:
            with torch.random.fork_rng(devices=[]):
                towers: nn.Module = open_clip.create_model(
                    of, str(path) if self.built_in else None, force_quick_gelu=quick, **sized
                )
        except Exception as error:  # each library that takes part raises errors of its own
            cause = " ".join(str(error).split())[:200].rstrip(".")
            raise WeightsError(f"{path} holds no {self.name} ({cause}).") from error
        check_finite(towers, path)
        return towers.eval()


def open_clip_encoder(name: str, size: int | None = None) -> Work[Encoder]:
    """The encoder ``open_clip/MODEL/TAG``, as open_clip calls its pretrained towers, or
    ``open_clip/ORGANISATION/REPOSITORY`` of a hub, which says what its towers are; for images of
    ``size`` pixels, its own if None. Raises WeightsError where there is none, or its weights cannot
    be had."""
    of = yield from _towers(name)
    path = yield from downloaded(of.repository, of.files)
    tokenizer = yield from _tokenizer(of)
    square, dtype = of.square(size), find_hardware().dtype
    digest = digest_of(path, (of.name, of.mean, of.std, square.squashed, dtype))
    read, texts = partial(of.read, path, size), partial(_texts, of, path, tokenizer)
    return Encoder(name, digest, of.width, square, read, partial(_images, of), dtype, texts)


def check_open_clip(name: str) -> None:
    """Raise WeightsError as :func:`open_clip_encoder` does, without downloading weights."""
    known = _built_in(name)
    check_download(*((known.repository, known.files) if known else (_repository(name), (NOTE,))))


def is_kept(name: str) -> bool:
    """Whether the weights of towers are in the hub's cache."""
    known = _built_in(name)
    repository, files = (known.repository, known.files) if known else (_repository(name), FILES)
    return any(cached(repository, file) is not None for file in files)


def _towers(name: str) -> Work[_Towers]:
    known = _built_in(name)
    if known is not None:
        return known
    path = yield from downloaded(_repository(name), (NOTE,))
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        of = _Towers(name, _repository(name), FILES, said["model_cfg"], said["preprocess_cfg"])
        of.width, of.size, of.config["text_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} does not say what the towers of {name} are.") from error
    return _checked(of)


def _built_in(name: str) -> _Towers | None:
    """Towers that open_clip itself knows; None where it does not. Raises WeightsError where
    open_clip is not installed, or the towers are such as are not understood."""
    try:
        import open_clip
    except ImportError as error:
        raise WeightsError(f"{name} is an encoder of open_clip: {INSTALL}.") from error
    logging.getLogger("open_clip").setLevel(logging.ERROR)
    model, _, tag = name.removeprefix(OPEN_CLIP).rpartition("/")
    shown = open_clip.get_pretrained_cfg(model, tag)
    if not shown:
        if model in open_clip.list_models():
            tags = open_clip.list_pretrained_tags_by_model(model)
            some = ", ".join(tags[:SOME]) + ", …" * (len(tags) > SOME) if tags else "none"
            raise WeightsError(f"open_clip has no {model} “{tag}”; it has: {some}.")
        if not model:
            raise WeightsError(
                f"{name} is no encoder: {OPEN_CLIP}MODEL/TAG is one, as open_clip calls it, or "
                f"{OPEN_CLIP}ORGANISATION/REPOSITORY of a hub."
            )
        return None
    if not (where := shown.get("hf_hub")):
        raise WeightsError(f"The weights of {name} are on no hub; choose others of its kind.")
    repository, _, file = where.rpartition("/")
    config = open_clip.get_model_config(model)
    return _checked(_Towers(name, repository, (file,) if file else FILES, config, shown, model))


def _checked(of: _Towers) -> _Towers:
    if "hf_model_name" in of.config["text_cfg"] or "multimodal_cfg" in of.config:
        raise WeightsError(
            f"{of.name} is not understood: its tower for texts is another library's."
        )
    return of


def _repository(name: str) -> str:
    return name.removeprefix(OPEN_CLIP)


def _tokenizer(of: _Towers) -> Work[Path | None]:
    """The folder of the tokenizer's files; None where open_clip has it itself."""
    if not (repository := of.config["text_cfg"].get("hf_tokenizer_name")):
        return None
    if find_spec("transformers") is None:
        raise WeightsError(f"The tokenizer of {of.name} needs transformers: {INSTALL}.")
    folder: Path | None = None
    for name in OF_TOKENIZER:
        try:
            folder = (yield from fetched(repository, name)).parent
        except NotThere:
            continue
        except DownloadError as error:
            raise WeightsError(f"The encoder cannot be had: {error}") from error
    if folder is None:
        raise WeightsError(f"The encoder cannot be had: {repository} has no tokenizer.")
    return folder


def _images(of: _Towers, towers: Any, hardware: Hardware) -> EncoderNetwork:
    """The tower for images; MobileCLIP learned with more branches than it needs."""
    from timm.utils.model import reparameterize_model

    network = faster(reparameterize_model(towers.visual), hardware)
    return EncoderNetwork(network, of.mean, of.std, hardware)


@lru_cache(1)  # 250 MB to 1 GB: searching again should not take seconds
def _texts(of: _Towers, path: Path, tokenizer: Path | None) -> Texts:
    """The tower for texts, in fp32 on the CPU: they are few."""
    towers: Any = of.read(path)
    towers.visual = None
    split = _split_by(of, tokenizer)

    def embed(texts: Sequence[str]) -> Tensor:
        with torch.inference_mode():
            parts = [
                towers.encode_text(split([*texts[start : start + AT_ONCE]]), normalize=True)
                for start in range(0, len(texts), AT_ONCE)
            ]
        return torch.cat(parts).float()

    return Texts(embed, float(towers.logit_scale.detach().exp()))


def _split_by(of: _Towers, folder: Path | None) -> Any:
    """What makes tokens of texts."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    config = of.config["text_cfg"]
    length, how = config.get("context_length", 77), config.get("tokenizer_kwargs", {})
    if folder is None:
        return SimpleTokenizer(context_length=length, **how)
    mode = config.get("tokenizer_mode")
    return HFTokenizer(str(folder), context_length=length, tokenizer_mode=mode, **how)
