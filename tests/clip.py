"""Towers of open_clip for images and words, tiny, of random weights that are always the same."""

from __future__ import annotations

import json
from functools import cache

import torch
from safetensors.torch import save

from tests.hub import Hub

CLIP = "open_clip/tests/tiny-clip"
CONFIG = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2,
        },
    },
    "preprocess_cfg": {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]},
}  # fmt: skip


@cache
def tiny_clip() -> bytes:
    """Their weights, as a repository has them."""
    import open_clip

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        towers = open_clip.model.CLIP(**CONFIG["model_cfg"])
    return save({name: tensor.contiguous() for name, tensor in towers.state_dict().items()})


def offer_clip(served: Hub) -> None:
    """Let a hub have them."""
    repository = CLIP.removeprefix("open_clip/")
    served.offer(repository, json.dumps(CONFIG).encode(), "open_clip_config.json")
    served.offer(repository, tiny_clip(), "open_clip_model.safetensors")
