"""Work on a GPU as one graph: launched at once, where kernel by kernel the card would wait."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from al_core.errors import is_lack_of_memory

Function = Callable[..., tuple[Tensor, ...]]
WARM_UP = 3  # runs in which libraries choose their kernels


def captured(
    function: Function,
    inputs: tuple[Tensor, ...],
    keep: Iterable[Tensor],
    forget: Callable[[], None],
) -> Function:
    """``function`` as a CUDA graph for inputs of these shapes; itself where it cannot be one.

    It must do the same work each time. It may leave gradients where there are none, and ``forget``
    takes them away again; the graph then writes them anew at each call, so that nobody needs to,
    nor may. What it returns is overwritten by the next call. It runs a few times beforehand, after
    which the tensors to ``keep`` are put back. Where memory runs out, that error is raised.
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
        # Other threads may use the card meanwhile.
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


def compiled(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same, compiled; as it is where there is no compiler."""
    fast = torch.compile(forward)

    def either(views: Tensor) -> Tensor:
        nonlocal fast
        try:
            return fast(views)
        except Exception as error:  # of Triton, of a C compiler, of what torch makes of them
            if fast is forward or is_lack_of_memory(error):
                raise
            warnings.warn(f"Learning goes on without a compiler: {error}", stacklevel=2)
            fast = forward
            return forward(views)

    return either
