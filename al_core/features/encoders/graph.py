"""What a network computes, as a graph of its operations.

torch runs the network's own code on stand-ins for tensors and writes down what it does with them,
so nothing here knows how any kind of network is built.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

# Each is one operation of the graph, whatever its code does.
WHOLE = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
QUICK_GELU = "QuickGELU"  # CLIP's: x * sigmoid(1.702 x)
MOST_APART = 100  # modules that stay as they are, before a network is given up
_NOTHING = (nn.Identity, nn.Dropout)


def graphs_of(network: nn.Module, called_with: dict[nn.Module, dict[str, Any]]) -> nn.Module:
    """The network as a graph. Where its own code takes decisions that depend on an image's size,
    the network itself, with its parts as graphs.

    ``called_with`` tells which modules are called, and with which optional arguments.
    """
    whole: nn.Module | None = _graph_of(network, called_with)
    if whole is not None:
        return whole
    for child in network.children():
        if child not in called_with:
            graphs_of(child, called_with)  # a list of modules
        elif not type(child).__module__.startswith("torch.nn") or any(child.children()):
            part = graphs_of(child, called_with)
            if part is not child:
                _compute_by(child, part)
    return network


def _graph_of(
    network: nn.Module, called_with: dict[nn.Module, dict[str, Any]]
) -> fx.GraphModule | None:
    """The network as one graph, if its code is the same for all images."""
    apart: set[nn.Module] = set()
    while network in called_with and len(apart) < MOST_APART:
        tracer = _Tracer(apart)
        try:
            graph = tracer.trace(network, _constants(network, called_with))
        except Exception:  # the code is somebody else's and may do anything
            if tracer.failed is None:
                return None
            apart.add(tracer.failed)
            continue
        module = fx.GraphModule(tracer.root, graph)
        _drop_what_does_nothing(module)
        _compute_constants(module)
        return module
    return None


def _compute_by(module: nn.Module, graph: nn.Module) -> None:
    """Has a graph compute what a module did. Who calls it may also ask for its settings."""
    for weights in (module._modules, module._parameters, module._buffers):
        weights.clear()
    module.add_module("graph", graph)
    module.__dict__["forward"] = graph.__call__


def norms_apart(network: nn.Module) -> None:
    """Takes a batch norm that has an activation within apart, and makes frozen ones usual ones."""
    for parent in list(network.modules()):
        for name, norm in list(parent.named_children()):
            if type(norm).__name__.removesuffix("2d") not in _NORMS:
                continue
            plain = nn.BatchNorm2d(len(norm.running_mean), norm.eps)  # type: ignore[arg-type]
            plain.load_state_dict(norm.state_dict(), strict=False)
            then = (getattr(norm, part, None) for part in ("drop", "act"))
            parts = [plain.eval(), *(part for part in then if part is not None)]
            setattr(parent, name, nn.Sequential(*parts))


_NORMS = ("BatchNormAct", "FrozenBatchNorm", "FrozenBatchNormAct")


def _constants(
    network: nn.Module, called_with: dict[nn.Module, dict[str, Any]]
) -> dict[str, Any] | None:
    """The optional arguments that are never a tensor, by what they were."""
    optional = {
        name: parameter.default
        for name, parameter in inspect.signature(network.forward).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    optional |= called_with.get(network, {})
    return {name: value for name, value in optional.items() if not isinstance(value, Tensor)}


class _Tracer(fx.Tracer):  # type: ignore[misc]
    """Notes which module's code could not be followed."""

    def __init__(self, apart: set[nn.Module]) -> None:
        super().__init__()
        self.apart = apart
        self.failed: nn.Module | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_whole = isinstance(m, WHOLE) or type(m).__name__ == QUICK_GELU or m in self.apart
        return is_whole or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if isinstance(m, nn.MultiheadAttention) and _is_plain(m, args, kwargs):
            return _self_attention(m, args[0]), None
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            if self.failed is None and not isinstance(m, nn.Sequential):
                self.failed = m
            raise


def _is_plain(attention: nn.MultiheadAttention, args: tuple[Any, ...], kwargs: Any) -> bool:
    """Whether tokens look at each other, and at nothing else."""
    same = len(args) == 3 and args[0] is args[1] is args[2]
    others = any(value is not None for name, value in kwargs.items() if name != "need_weights")
    nothing_more = attention.bias_k is None and not attention.add_zero_attn
    fused = attention.in_proj_weight is not None and attention.batch_first
    return same and fused and nothing_more and not others and not kwargs.get("need_weights", True)


def _self_attention(attention: nn.MultiheadAttention, tokens: Any) -> Any:
    """What torch's module computes, in operations of a graph: ``[N,tokens,C]`` to the same."""
    n, length, _ = tokens.shape
    products = functional.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
    shape = (n, length, 3, attention.num_heads, attention.head_dim)
    query, key, value = products.reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
    seen = functional.scaled_dot_product_attention(query, key, value)
    return attention.out_proj(seen.transpose(1, 2).reshape(n, length, -1))


def _drop_what_does_nothing(module: fx.GraphModule) -> None:
    """Takes out what only trains."""
    for node in list(module.graph.nodes):
        is_module = node.op == "call_module"
        if is_module and type(module.get_submodule(node.target)) in _NOTHING:
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)


def _compute_constants(module: fx.GraphModule) -> None:
    """Computes once what depends on weights alone."""
    for node in list(module.graph.nodes):
        inputs = node.all_input_nodes
        known = node.op in ("call_function", "call_method") and inputs
        if not known or any(other.op != "get_attr" for other in inputs):
            continue
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda other: constant(module, other))
        if node.op == "call_function":
            value = node.target(*args, **kwargs)
        else:
            value = getattr(args[0], node.target)(*args[1:], **kwargs)
        if not isinstance(value, Tensor):
            continue
        name = f"constant_{node.name}"
        module.register_buffer(name, value.detach().clone())
        with module.graph.inserting_before(node):
            node.replace_all_uses_with(module.graph.get_attr(name))
        module.graph.erase_node(node)


def constant(module: fx.GraphModule, node: fx.Node) -> Tensor:
    """The weight that a node stands for."""
    value = operator.attrgetter(str(node.target))(module)
    if not isinstance(value, Tensor):
        raise TypeError(f"{node.target} is no tensor")
    return value.detach()


@torch.no_grad()
def optional_arguments(network: nn.Module, image: Tensor) -> dict[nn.Module, dict[str, Any]]:
    """The modules that are called, and the optional arguments of each, seen by calling all."""
    seen: dict[nn.Module, dict[str, Any]] = {}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        optional = seen.setdefault(module, {})
        signature = inspect.signature(module.forward)
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            default = signature.parameters[name].default
            if default is not inspect.Parameter.empty:
                before = optional.get(name)
                optional[name] = before if isinstance(before, Tensor) else value

    hooks = [
        module.register_forward_pre_hook(note, with_kwargs=True) for module in network.modules()
    ]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return seen
