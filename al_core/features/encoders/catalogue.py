"""The encoders that are offered: what each is good for, its licence, its cost. No torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

FREE = ("Apache 2.0", "BSD", "MIT")  # licences for any use


@dataclass(frozen=True, slots=True)
class Offered:
    """An encoder that is offered: ``name`` as in the settings, ``title`` and ``good_for`` for
    people; its ``licence``; ``megabytes`` to download; ``width`` of its embeddings; the ``size`` of
    the images it takes, in pixels a side; and ``cost``: how many billion operations of a matrix
    product take as long as an image (``benchmarks.embed``)."""

    name: str
    title: str
    good_for: str
    licence: str
    megabytes: int
    width: int
    size: int
    cost: float

    @property
    def is_free(self) -> bool:
        """Whether its licence is for any use."""
        return self.licence in FREE

    @property
    def described(self) -> str:
        """What it is good for, its licence, and its size, in a sentence or two."""
        licence = self.licence if self.is_free else f"{self.licence}, not for every use: read it"
        return f"Good for {self.good_for}. {self.megabytes} MB. Licence: {licence}."


_ALL = (
    # The first where it can be had: its words alone tell 95.6% of CIFAR-10, says open_clip's table.
    Offered("open_clip/ViT-B-32/datacomp_xl_s13b_b90k", "CLIP base",
            "everyday things, from their names alone: it knows words", "MIT", 605, 512, 224, 9.8),
    Offered("timm/vit_base_patch14_dinov2.lvd142m", "DINOv2 base",
            "nearly all photographs, with a GPU or an hour", "Apache 2.0", 346, 768, 224, 62.0),
    Offered("timm/vit_small_patch14_dinov2.lvd142m", "DINOv2 small",
            "nearly all photographs: few labels go far", "Apache 2.0", 88, 384, 224, 16.5),
    Offered("timm/convnext_tiny.in12k", "ConvNeXt tiny",
            "everyday things and animals, of which it learned 12,000 kinds", "Apache 2.0",
            149, 768, 224, 12.2),
    Offered("timm/resnet50.a1_in1k", "ResNet-50",
            "comparison with what others have published", "Apache 2.0", 102, 2048, 224, 8.9),
    Offered("timm/efficientnet_b0.ra_in1k", "EfficientNet-B0",
            "everyday things, on a slow machine", "Apache 2.0", 21, 1280, 224, 3.8),
    Offered("timm/resnet18.a1_in1k", "ResNet-18",
            "everyday things, many pictures", "Apache 2.0", 47, 512, 224, 3.8),
    Offered("timm/mobilenetv4_conv_small.e2400_r224_in1k", "MobileNetV4 small",
            "very many pictures, or a small machine", "Apache 2.0", 15, 1280, 224, 0.8),
    Offered("timm/vit_base_patch16_dinov3.lvd1689m", "DINOv3 base",
            "the finest differences, with a GPU", "DINOv3 License", 343, 768, 256, 58.0),
    Offered("open_clip/ViT-B-32-SigLIP2-256/webli", "SigLIP 2 base",
            "names in a hundred languages: it knows words", "Apache 2.0", 1507, 768, 256, 12.9),
    Offered("open_clip/MobileCLIP2-S0/dfndr2b", "MobileCLIP 2 small",
            "everyday things from their names, by a small download", "Apple AMLR",
            300, 512, 256, 8.1),
    Offered("timm/vit_small_patch16_dinov3.lvd1689m", "DINOv3 small",
            "fine differences", "DINOv3 License", 87, 384, 256, 15.3),
    Offered("timm/convnextv2_tiny.fcmae_ft_in22k_in1k", "ConvNeXt V2 tiny",
            "everyday things and animals", "CC BY-NC 4.0", 115, 768, 224, 12.5),
)  # fmt: skip
ENCODERS = {one.name: one for one in _ALL}


DECODING = 0.008  # seconds of a core for a photograph of 2 megapixels (benchmarks/RESULTS.md)
REASONABLE = 600.0  # seconds that embedding a pool may take, while somebody labels


def seconds_for(encoder: Offered, images: int, rate: float) -> float:
    """How long it takes to embed ``images``, on a machine whose matrix products do ``rate`` billion
    operations a second, with what decoding them takes of its cores."""
    return images * (encoder.cost / rate + DECODING / (os.cpu_count() or 1))


def best_for(images: int, rate: float, there: frozenset[str]) -> Offered | None:
    """The encoder that a folder of photographs starts with: the first, best, with a licence for any
    use, of those that are ``there``, which embeds so many in REASONABLE time; or else the quickest.
    None where none is there."""
    free = [one for one in ENCODERS.values() if one.is_free and one.name in there]
    soon = [one for one in free if seconds_for(one, images, rate) <= REASONABLE]
    return soon[0] if soon else min(free, key=lambda one: one.cost, default=None)


def titled(name: str) -> str:
    """What an encoder is called: its title, or its name where it is not offered."""
    return ENCODERS[name].title if name in ENCODERS else name
