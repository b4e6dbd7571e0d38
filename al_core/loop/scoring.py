"""score_images(): what a network says of the pool, as exactly as what is chosen by it needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_core.models.fast_inference import InferenceNetwork
from al_core.models.hardware import Hardware
from al_core.models.network import Network
from al_core.models.prediction import Predictions, batch_size, predict
from al_core.progress import Work
from al_core.strategies.registry import STRATEGIES


def can_be_fast(strategy: str) -> bool:
    """Whether the fast dtype will do. A strategy that looks at embeddings, or lets a committee vote
    on them, lets small differences grow; it gets fp32 throughout."""
    return not STRATEGIES[strategy].sees_embeddings


def score_images(
    network: Network,
    images: NDArray[np.uint8] | Tensor,
    strategy: str,
    unlabeled: NDArray[np.int64],
    n: int,
    hardware: Hardware,
) -> Work[Predictions]:
    """What ``network`` says of all ``images``, uint8 ``[N,3,H,W]``, such that ``strategy`` chooses
    from ``unlabeled`` the ``n`` it would choose by predictions in fp32.

    One that ranks by probabilities needs fp32 only for images near the line.
    """
    on = hardware if can_be_fast(strategy) else hardware.exact
    everything = np.arange(len(images), dtype=np.int64)
    said = yield from predict(InferenceNetwork(network, on), images, everything, on, "Scoring")
    if STRATEGIES[strategy].ranks and can_be_fast(strategy):
        score = STRATEGIES[strategy].function
        yield from look_again(network, images, said, unlabeled, score, n, hardware)
    return said


def look_again(
    network: Network,
    images: NDArray[np.uint8] | Tensor,
    said: Predictions,
    among: NDArray[np.int64],
    score: Callable[[Tensor], Tensor],
    n: int,
    hardware: Hardware,
) -> Work[None]:
    """Let the ``n`` of ``among`` that score highest be those that fp32 would choose.

    ``said`` are the predictions of all images in a faster dtype, of which some are replaced;
    ``score`` takes probabilities ``[N,C]`` to ``[N]``. Looked at again is whatever lies no further
    below the line than the largest error that has been seen: as a rule two or three times ``n``
    images, not all.
    """
    n = min(n, len(among))
    if hardware.dtype == torch.float32 or not n:
        return
    exact = InferenceNetwork(network, hardware.exact)
    before = score(said.probs[torch.from_numpy(among)])
    order = before.argsort(descending=True)
    after, done, error = before.clone(), 0, 0.0
    size = batch_size(hardware)
    wanted = _whole_batches(2 * n, size, len(among))
    while done < wanted:
        fresh = order[done:wanted]
        places = among[fresh.numpy()]
        better = yield from predict(exact, images, places, hardware, "Looking again")
        said.probs[torch.from_numpy(places)] = better.probs
        said.embeddings[torch.from_numpy(places)] = better.embeddings
        after[fresh] = score(better.probs)
        error = max(error, float((after - before)[fresh].nan_to_num().abs().max()))
        done = wanted
        line = after.topk(n).values[-1]
        wanted = max(done, _whole_batches(int((before >= line - error).sum()), size, len(among)))


def _whole_batches(n: int, size: int, most: int) -> int:
    """``n`` or a little more, so that no batch of ``size`` images has a size of its own."""
    return min(-(-n // size) * size, most)
