"""GPU work as one graph: launched kernel by kernel, it would keep the card waiting."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor

from al_core.errors import is_lack_of_memory

Function = Callable[..., tuple[Tensor, ...]]
Result = TypeVar("Result")
WARM_UP = 3  # runs while libraries choose their kernels


def captured(
    function: Function,
    inputs: tuple[Tensor, ...],
    keep: Iterable[Tensor],
    forget: Callable[[], None],
) -> Function:
    """``function`` as a CUDA graph for inputs of these shapes; uncaptured where that fails.

    It must do the same work each time. It may leave gradients, which ``forget`` clears; the graph
    writes them anew at each call, so callers must not clear them. Each call overwrites what the
    last one returned. The function runs a few times first, and then the tensors to ``keep`` are
    restored. An out-of-memory error is raised.
    """

    def plainly(*inputs: Tensor) -> tuple[Tensor, ...]:
        forget()
        return function(*inputs)

    if inputs[0].device.type != "cuda":
        return plainly
    before = [(tensor, tensor.clone()) for tensor in keep]
    fixed = tuple(tensor.clone() for tensor in inputs)
    graph = torch.cuda.CUDAGraph()
    forget()
    try:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                function(*fixed)
                forget()
        torch.cuda.current_stream().wait_stream(aside)
        # Other threads may be using the card.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = function(*fixed)
    except RuntimeError as error:
        if is_lack_of_memory(error):
            raise
        warnings.warn(f"Not captured as a CUDA graph: {error}", stacklevel=2)
        return plainly
    finally:
        for tensor, value in before:
            tensor.copy_(value)

    def replayed(*inputs: Tensor) -> tuple[Tensor, ...]:
        for there, here in zip(fixed, inputs, strict=True):
            there.copy_(here, non_blocking=True)
        graph.replay()
        return outputs

    return replayed


def compiled(forward: Callable[[Tensor], Result]) -> Callable[[Tensor], Result]:
    """``forward``, compiled; unchanged where there is no compiler."""
    fast = torch.compile(forward)

    def either(views: Tensor) -> Result:
        nonlocal fast
        try:
            return fast(views)
        except Exception as error:  # from Triton, a C compiler, or torch on their behalf
            if fast is forward or is_lack_of_memory(error):
                raise
            warnings.warn(f"Learning goes on without a compiler: {error}", stacklevel=2)
            fast = forward
            return forward(views)

    return either
