"""Which operations of a graph become one: a product, and what follows it.

Batch norm, layer scale and biases go into the weights; an activation and a residual sum are taken
along by the product. An operation is only taken along if nothing else looks at what is between.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from al_core.features.encoders.fused import Activation, Convolution, Linear, Patches, attend
from al_core.features.encoders.graph import QUICK_GELU, constant

RELU = Activation("relu")
_SWISH = Activation("swish")
_MODULES: dict[type[nn.Module], Activation] = {
    nn.ReLU: RELU,
    nn.ReLU6: Activation("hardtanh", (0.0, 6.0)),
    nn.SiLU: _SWISH,
    nn.Hardswish: Activation("hardswish"),
    nn.Sigmoid: Activation("sigmoid"),
}
_FUNCTIONS: dict[Any, Activation] = {
    functional.relu: RELU,
    functional.silu: _SWISH,
    functional.hardswish: Activation("hardswish"),
    torch.relu: RELU,
    torch.sigmoid: Activation("sigmoid"),
}
_METHODS = {"sigmoid": Activation("sigmoid"), "relu": RELU}
_ADD = (operator.add, torch.add, operator.iadd)
_MULTIPLY = (operator.mul, torch.mul, operator.imul)
_TO_MAPS = (0, 3, 1, 2)
_LINEAR = ("Linear", "NonDynamicallyQuantizableLinear")  # the second is that of attention
QUICK = 1.702


def fuse(module: fx.GraphModule) -> None:
    """Makes one operation of a product and what follows it, all over a graph."""
    taken: set[fx.Node] = set()
    for node in list(module.graph.nodes):
        if node in taken:
            continue
        if node.target is functional.scaled_dot_product_attention:
            _use_attend(node)
            continue
        product = _product(module, node)
        if product is not None:
            taken.update(_Chain(module, node, product).fuse())


def _product(module: fx.GraphModule, node: fx.Node) -> Linear | Convolution | None:
    """The product that a node is, if it is one that can be fused."""
    if node.target is functional.linear:
        weights = [*node.args[1:], *node.kwargs.values()]
        known = [constant(module, w) for w in weights if isinstance(w, fx.Node) and _is_known(w)]
        if len(known) != sum(weight is not None for weight in weights):
            return None
        return Linear(known[0], known[1] if len(known) > 1 else None)
    if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return None
    layer = module.get_submodule(str(node.target))
    if type(layer).__name__ in _LINEAR and isinstance(layer, nn.Linear):
        return Linear(layer.weight.detach(), None if layer.bias is None else layer.bias.detach())
    usual = type(layer) is nn.Conv2d and layer.padding_mode == "zeros"
    if not (usual and not isinstance(layer.padding, str)) and type(layer).__name__ != "Conv2dSame":
        return None
    assert isinstance(layer, nn.Conv2d)
    apart = layer.stride == layer.kernel_size and not any(map(int, layer.padding))
    if usual and apart and layer.kernel_size[0] > 4 and layer.groups == 1:
        return Patches(layer)
    return Convolution(layer)


def _is_known(node: fx.Node) -> bool:
    return bool(node.op == "get_attr")


class _Chain:
    """A product, and the operations behind it that it takes along."""

    def __init__(
        self, module: fx.GraphModule, node: fx.Node, product: Linear | Convolution
    ) -> None:
        self.module, self.product = module, product
        self.nodes = [node]
        self.plus: fx.Node | None = None
        self.behind = 1.0  # a factor for whoever takes the result

    def fuse(self) -> list[fx.Node]:
        """Puts the product in the place of the last of what it takes along; returns what it
        took."""
        while len(self.last.users) == 1:
            (after,) = self.last.users
            if not self._takes(after):
                break
            self.nodes.append(after)
        graph, first = self.module.graph, self.nodes[0]
        name = f"fused_{first.name}"
        self.module.add_submodule(name, self.product)
        args = first.args[:1] + (() if self.plus is None else (self.plus,))
        with graph.inserting_before(self.last):
            new = graph.call_module(name, args)
            if self.behind != 1:
                new = graph.call_function(operator.mul, (new, self.behind))
        self.last.replace_all_uses_with(new)
        for node in reversed(self.nodes):
            graph.erase_node(node)
        return self.nodes

    @property
    def last(self) -> fx.Node:
        """The last operation that was taken along."""
        return self.nodes[-1]

    def _takes(self, after: fx.Node) -> bool:
        """Whether the product can compute this operation too; then it does."""
        if self.product.activation != Activation():
            return False
        activation = self._activation(after)
        if activation is not None:
            return self._takes_activation(after, activation)
        if self.plus is not None:
            return False
        return (
            self._takes_norm(after)
            or self._takes_scale(after)
            or self._takes_view(after)
            or self._takes_sum(after)
        )

    def _takes_activation(self, after: fx.Node, activation: Activation) -> bool:
        both = isinstance(self.product, Convolution) and activation == RELU
        if self.plus is not None and not both:
            return False
        if self._layer(after) == QUICK_GELU:  # x * sigmoid(s x) = swish(s x) / s
            self.product.scale(torch.full((len(self.product.weight),), QUICK))
            self.behind = 1 / QUICK
        self.product.activation = activation
        return True

    def _activation(self, node: fx.Node) -> Activation | None:
        """The activation that a node is."""
        if node.op == "call_module":
            layer = self.module.get_submodule(str(node.target))
            if type(layer).__name__ == QUICK_GELU:
                return _SWISH
            if type(layer) is nn.GELU:
                return Activation("gelu", (), layer.approximate)
            return _MODULES.get(type(layer))
        if node.target is functional.gelu:
            return Activation("gelu", (), str(node.kwargs.get("approximate", "none")))
        if node.op == "call_method":
            return _METHODS.get(str(node.target))
        return _FUNCTIONS.get(node.target)

    def _layer(self, node: fx.Node) -> str:
        if node.op != "call_module":
            return ""
        return type(self.module.get_submodule(str(node.target))).__name__

    def _takes_norm(self, after: fx.Node) -> bool:
        if after.op != "call_module" or not isinstance(self.product, Convolution):
            return False
        norm = self.module.get_submodule(str(after.target))
        if type(norm) is not nn.BatchNorm2d or norm.running_mean is None:
            return False
        assert norm.running_var is not None
        factor = torch.rsqrt(norm.running_var + norm.eps)
        factor = factor if norm.weight is None else factor * norm.weight.detach()
        offset = -norm.running_mean * factor
        self.product.scale(factor)
        self.product.shift(offset if norm.bias is None else offset + norm.bias.detach())
        return True

    def _takes_scale(self, after: fx.Node) -> bool:
        """A layer scale: a factor of each channel."""
        if after.target not in (*_MULTIPLY, "mul", "mul_") or len(after.args) != 2:
            return False
        others = [other for other in after.args if other is not self.last]
        if len(others) != 1 or not isinstance(others[0], fx.Node) or not _is_known(others[0]):
            return False
        value = constant(self.module, others[0])
        channels = len(self.product.weight)
        maps = isinstance(self.product, Convolution) or self.product.makes_maps
        shape = (channels, 1, 1) if maps else (channels,)
        if value.numel() != channels or tuple(value.shape[-len(shape) :]) != shape:
            return False
        self.product.scale(value.flatten())
        return True

    def _takes_view(self, after: fx.Node) -> bool:
        """What makes maps of rows, as behind the linear layers of ConvNeXt."""
        axes = after.args[1:] if len(after.args) != 2 else after.args[1]
        ours = type(self.product) is Linear and not self.product.makes_maps
        if not ours or after.target not in ("permute", torch.permute) or axes != _TO_MAPS:
            return False
        assert isinstance(self.product, Linear)
        self.product.makes_maps = True
        return True

    def _takes_sum(self, after: fx.Node) -> bool:
        """A residual sum. oneDNN knows none behind convolutions in groups."""
        if after.target not in (*_ADD, "add", "add_") or len(after.args) != 2 or after.kwargs:
            return False
        if isinstance(self.product, Convolution) and self.product.groups > 1:
            return False
        one, other = after.args
        in_place = after.target in (operator.iadd, "add_")
        if other is self.last and not in_place:
            one, other = other, one
        if one is not self.last or not isinstance(other, fx.Node) or other is self.last:
            return False
        if _is_known(other) and constant(self.module, other).dim() < 3:
            return False
        self.plus = other
        return True


def _use_attend(node: fx.Node) -> None:
    names = ("attn_mask", "dropout_p", "is_causal")
    given = dict(zip(names, node.args[3:], strict=False)) | node.kwargs
    scale = given.pop("scale", None)
    if all(not value and not isinstance(value, fx.Node) for value in given.values()):
        node.target = attend
        node.args, node.kwargs = node.args[:3], {"scale": scale}
