"""score_images(): a network's predictions for the pool, as exact as choosing a batch needs."""

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
    """Whether the fast dtype will do: where predictions do not matter, or those near the cut-off
    are looked at again. All other strategies amplify small differences, and get fp32 throughout."""
    entry = STRATEGIES[strategy]
    return not entry.needs or (entry.ranks and not entry.sees_embeddings)


def score_images(
    network: Network,
    images: NDArray[np.uint8] | Tensor,
    strategy: str,
    unlabeled: NDArray[np.int64],
    n: int,
    hardware: Hardware,
) -> Work[Predictions]:
    """The predictions of ``network`` for all ``images``, uint8 ``[N,3,H,W]``, by which ``strategy``
    chooses the same ``n`` of ``unlabeled`` as by predictions in fp32.

    One that ranks by probabilities needs fp32 only for images near the cut-off.
    """
    on = hardware if can_be_fast(strategy) else hardware.exact
    everything = np.arange(len(images), dtype=np.int64)
    fast = InferenceNetwork(network, on)
    predictions = yield from predict(fast, images, everything, on, "Scoring")
    if STRATEGIES[strategy].ranks and can_be_fast(strategy):
        score = STRATEGIES[strategy].function
        yield from look_again(network, images, predictions, unlabeled, score, n, hardware)
    return predictions


def look_again(
    network: Network,
    images: NDArray[np.uint8] | Tensor,
    predictions: Predictions,
    among: NDArray[np.int64],
    score: Callable[[Tensor], Tensor],
    n: int,
    hardware: Hardware,
) -> Work[None]:
    """Make the ``n`` of ``among`` that score highest those that fp32 would choose.

    ``predictions`` are those for all images in a faster dtype, some of which are replaced;
    ``score`` takes probabilities ``[N,C]`` to ``[N]``. Images no further below the cut-off than the
    largest error seen so far are predicted again: as a rule two or three times ``n``, not all.
    """
    n = min(n, len(among))
    if hardware.dtype == torch.float32 or not n:
        return
    exact = InferenceNetwork(network, hardware.exact)
    before = score(predictions.probs[torch.from_numpy(among)])
    order = before.argsort(descending=True)
    after, done, error = before.clone(), 0, 0.0
    size = batch_size(hardware)
    wanted = _whole_batches(2 * n, size, len(among))
    while done < wanted:
        fresh = order[done:wanted]
        places = among[fresh.numpy()]
        better = yield from predict(exact, images, places, hardware, "Looking again")
        predictions.probs[torch.from_numpy(places)] = better.probs
        predictions.embeddings[torch.from_numpy(places)] = better.embeddings
        after[fresh] = score(better.probs)
        error = max(error, float((after - before)[fresh].nan_to_num().abs().max()))
        done = wanted
        line = after.topk(n).values[-1]
        wanted = max(done, _whole_batches(int((before >= line - error).sum()), size, len(among)))


def _whole_batches(n: int, size: int, most: int) -> int:
    """``n`` rounded up to whole batches of ``size``, so that no other batch size occurs."""
    return min(-(-n // size) * size, most)
