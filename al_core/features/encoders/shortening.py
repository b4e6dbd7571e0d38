"""What else can be left out, once neighbours have become one operation."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx, nn
from torch.nn import functional

from al_core.features.encoders.fused import Activation, Convolution, Linear
from al_core.features.encoders.fusing import RELU, fuse
from al_core.models.fast_inference import pool_and_relu


def shorten(module: fx.GraphModule) -> None:
    """Changes a graph in place, so that it gives the same with less to do."""
    fuse(module)
    module.graph.eliminate_dead_code()
    _factors_into_weights(module)
    _pool_first(module)
    _look_at_one_token(module)
    _overwrite(module)
    module.delete_all_unused_submodules()
    module.recompile()


def _factors_into_weights(module: fx.GraphModule) -> None:
    """A factor of what a linear layer takes becomes one of its weights."""
    for node in list(module.graph.nodes):
        takes = next(iter(node.users), None)
        is_factor = node.target is operator.mul and isinstance(node.args[1], float)
        if not is_factor or len(node.users) != 1 or takes is None or takes.op != "call_module":
            continue
        layer = module.get_submodule(str(takes.target))
        if type(layer) is Linear and takes.args[0] is node:
            layer.weight = layer.weight * node.args[1]
            takes.replace_input_with(node, node.args[0])
            module.graph.erase_node(node)


def _pool_first(module: fx.GraphModule) -> None:
    """ReLU and max-pooling may change places, and then there is less to look at."""
    for node in list(module.graph.nodes):
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or len(before.users) != 1 or len(before.args) != 1:
            continue
        pool, product = module.get_submodule(node.target), None
        if before.op == "call_module":
            product = module.get_submodule(str(before.target))
        if not isinstance(product, Convolution) or product.activation != RELU:
            continue
        is_usual = isinstance(pool, nn.MaxPool2d) and not pool.ceil_mode and pool.dilation == 1
        if is_usual and (pool.kernel_size, pool.stride, pool.padding) == (3, 2, 1):
            product.activation = Activation()
            with module.graph.inserting_before(node):
                node.replace_all_uses_with(module.graph.call_function(pool_and_relu, (before,)))
            module.graph.erase_node(node)


def _look_at_one_token(module: fx.GraphModule) -> None:
    """Where only one token of the last block is used, as a class token, computes that one alone."""
    graph = module.graph
    for node in reversed(graph.nodes):
        users = list(node.users)
        picks = [user.args[1] for user in users if user.target is operator.getitem]
        same = len(picks) == len(users) > 0 and all(pick == picks[0] for pick in picks)
        if not same or not _is_one_token(picks[0]) or not _is_by_token(module, node):
            continue
        with graph.inserting_before(node):
            picked = {
                one: graph.call_function(operator.getitem, (one, picks[0]))
                for one in node.all_input_nodes
                if one.op != "get_attr"
            }
        node.args = fx.map_arg(node.args, lambda one, picked=picked: picked.get(one, one))
        for user in users:
            user.replace_all_uses_with(node)
            graph.erase_node(user)


def _is_one_token(index: Any) -> bool:
    whole = isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None)
    return whole and isinstance(index[1], int)


def _is_by_token(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation does the same with each of ``[N,tokens,C]``."""
    if node.target is functional.layer_norm:
        return len(node.args[1]) == 1
    if node.op != "call_module":
        return False
    layer = module.get_submodule(str(node.target))
    if isinstance(layer, nn.LayerNorm):
        return len(layer.normalized_shape) == 1
    return type(layer) is Linear and not layer.makes_maps


def _overwrite(module: fx.GraphModule) -> None:
    """Puts a sum where its second part was, if that is a convolution's result that nobody needs any
    more. Whoever else looked at it must have made a tensor of its own."""
    order = {node: place for place, node in enumerate(module.graph.nodes)}
    for node in order:
        if not _is_fused(module, node) or len(node.args) < 2:
            continue
        plus = node.args[1]
        if isinstance(plus, fx.Node) and _is_fused(module, plus) and node.args[0] is not plus:
            others = [other for other in plus.users if other is not node]
            done = all(_is_fused(module, one) and order[one] < order[node] for one in others)
            module.get_submodule(str(node.target)).overwrites = done


def _is_fused(module: fx.GraphModule, node: fx.Node) -> bool:
    is_module = node.op == "call_module"
    return is_module and isinstance(module.get_submodule(str(node.target)), Convolution)
