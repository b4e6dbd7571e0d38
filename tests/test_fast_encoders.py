"""Encoders made fast: they give what they gave before."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from al_core.features.encoders import fast
from al_core.features.encoders.fast import faster
from al_core.features.encoders.fused import Convolution, Linear, attend
from al_core.models.hardware import Hardware, cpu_has_bf16

CPU = Hardware(torch.device("cpu"), torch.float32)
BF16 = Hardware(torch.device("cpu"), torch.bfloat16)


def transformer(**settings: object) -> nn.Module:
    timm = pytest.importorskip("timm")
    small = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 2}
    return timm.models.VisionTransformer(**small | {"num_classes": 0} | settings)


def created(name: str, **settings: object) -> nn.Module:
    timm = pytest.importorskip("timm")
    return timm.create_model(name, pretrained=False, num_classes=0, **settings)


def clip(**settings: object) -> nn.Module:
    open_clip = pytest.importorskip("open_clip")
    small = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "heads": 2}
    small |= {"mlp_ratio": 4.0, "output_dim": 16}
    return open_clip.transformer.VisionTransformer(**small | settings)


def quick_clip() -> nn.Module:
    open_clip = pytest.importorskip("open_clip")
    return clip(act_layer=open_clip.transformer.QuickGELU, ls_init_value=0.1)


KINDS: dict[str, Callable[[], nn.Module]] = {
    "class token": transformer,
    "layer scale": lambda: transformer(init_values=0.1, reg_tokens=2),
    "mean": lambda: transformer(global_pool="avg", class_token=False, qk_norm=True),
    "any size": lambda: transformer(init_values=0.1, dynamic_img_size=True),
    "attention pool": lambda: transformer(global_pool="map", class_token=False),
    "rotated": lambda: created(
        "vit_small_patch16_dinov3", img_size=32, embed_dim=64, depth=2, num_heads=2
    ),
    "clip": clip,
    "quick clip": quick_clip,
    "resnet18": lambda: created("resnet18", channels=(8, 8, 16, 16)),
    "resnet50": lambda: created("resnet50", layers=(1, 1, 1, 1), channels=(8, 8, 8, 8)),
    "convnext": lambda: created("convnext_atto", depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)),
    "efficientnet": lambda: created("efficientnet_b0"),
    "as tensorflow": lambda: created("tf_efficientnet_lite0"),
    "mobilenet": lambda: created("mobilenetv4_conv_small_035"),
}
# Nothing of these is known, and little of it can be followed.
OTHERS = {
    "densenet": lambda: created("densenet121", growth_rate=4),
    "swin": lambda: created(
        "swin_tiny_patch4_window7_224", embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)
    ),
}


def ready(network: nn.Module) -> nn.Module:
    """Weights, statistics and layer scales as after a training: none of them does nothing."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(noise.square() + 0.5)
        elif tensor.dim() > 1 and "token" not in name and "pos" not in name:
            tensor.copy_(noise / tensor[0].numel() ** 0.5)
        else:
            tensor.add_(noise, alpha=0.2)
    return network.eval()


def images_for(network: nn.Module) -> Tensor:
    side = 32 if fast._size(network)[1] == 32 else 64
    side = 224 if "swin" in type(network).__name__.lower() else side
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(1))


def distance(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other).norm() / other.norm())


@pytest.mark.parametrize("kind", KINDS | OTHERS)
@torch.inference_mode()
def test_a_fast_encoder_gives_what_the_encoder_gives(kind: str) -> None:
    network = ready((KINDS | OTHERS)[kind]())
    images, before = images_for(network), copy.deepcopy(network.state_dict())
    right = network(images)
    encoder = faster(network, CPU)
    assert distance(encoder(images), right) < 1e-5
    assert distance(encoder(images[:1]), right[:1]) < 1e-5
    if kind in KINDS:
        assert any(isinstance(part, (Linear, Convolution)) for part in encoder.modules())
    assert all(torch.equal(was, before[name]) for name, was in network.state_dict().items())
    if not cpu_has_bf16():
        return
    plain = copy.deepcopy(network).bfloat16()(images.bfloat16())
    ours = faster(network, BF16)(images.bfloat16())
    assert ours.dtype == torch.bfloat16
    assert distance(ours, right) < 1.3 * distance(plain, right)


@torch.inference_mode()
def test_a_weight_is_kept_once_also_in_another_dtype() -> None:
    network = ready(KINDS["resnet18"]())
    images, encoder = images_for(network), faster(network, CPU)
    for dtype in (torch.float32, torch.float64, torch.float32):
        encoder.to(dtype)
        if dtype == torch.float32:
            assert distance(encoder(images), network(images)) < 1e-5
            products = [part for part in encoder.modules() if isinstance(part, Convolution)]
            assert len(products) == 21
            assert not any(product.weight.numel() for product in products)


@torch.inference_mode()
def test_a_sum_is_not_put_where_somebody_still_looks() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

        def forward(self, images: Tensor) -> Tensor:
            first = self.first(images)
            return (self.second(first) + first).relu() * first

    network = Twice()
    images = torch.randn(2, 3, 8, 8)
    assert distance(faster(network, CPU)(images), network(images)) < 1e-6


@torch.inference_mode()
def test_code_that_depends_on_the_image_stays_as_it_is() -> None:
    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 4, 3)
            self.register_buffer("windows", torch.zeros(1, 2, 1, 4, 4))  # as Swin's

        def forward(self, images: Tensor) -> Tensor:
            maps = self.body(images)
            return maps.mean((2, 3)) if images.sum() > 0 else maps.amax((2, 3))

    network = Strange()
    encoder = faster(network, CPU)
    for sign in (1, -1):
        images = sign * torch.rand(2, 3, 16, 16)
        assert distance(encoder(images), network(images)) < 1e-6


@torch.inference_mode()
def test_what_would_differ_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ready(transformer())

    def wrong(module: nn.Module) -> None:
        for part in module.modules():
            if isinstance(part, nn.Linear):
                part.weight.mul_(2)

    monkeypatch.setattr(fast, "shorten", wrong)
    images = images_for(network)
    assert torch.equal(faster(network, CPU)(images), network(images))


@torch.inference_mode()
def test_attention_in_parts_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_core.features.encoders.fused.SCORES_AT_ONCE", 2 * 2 * 9 * 9)
    tokens = torch.randn(3, 5, 9, 2, 16).permute(0, 1, 3, 2, 4)
    right = functional.scaled_dot_product_attention(*tokens)
    ours = attend(*tokens.bfloat16())
    assert ours.shape == right.shape
    assert distance(ours, right) < 0.02
    windows = attend(*tokens.bfloat16().unflatten(1, (5, 1)))
    assert torch.equal(windows, ours.unflatten(0, (5, 1)))
