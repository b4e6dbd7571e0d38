"""Class names as a classifier before any label, "zero-shot": Radford et al., "Learning transferable
visual models from natural language supervision" (2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from al_core.features.encoders.encoder import Encoder, Texts
from al_core.names import texts_for

BLOCK = 8192  # images at a time
KEPT = 8  # classes and prompts


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """C classes in words: ``directions`` float32 ``[C,D]``, unit vectors, zeros for those that
    cannot be given any more; ``scale`` is that of the cosines."""

    directions: Tensor
    scale: float

    def logits(self, embeddings: Tensor) -> Tensor:
        """Of images, ``[N,D]`` of any floating dtype, to float32 ``[N,C]``."""
        cosines = torch.cat(
            [
                F.normalize(rows.float(), dim=1) @ self.directions.T
                for rows in torch.split(embeddings, BLOCK)
            ]
        )
        cosines[:, ~self.directions.any(1)] = -1
        return self.scale * cosines

    def to(self, device: torch.device) -> Words:
        """The same on a device."""
        return Words(self.directions.to(device), self.scale)


def words_for(
    encoder: Encoder, called: Sequence[Sequence[str]], shown: Sequence[int], prompts: str
) -> Words | None:
    """Classes in the words of these ``prompts``, by the names that each has had, the one of now
    first; those ``shown`` can be given, by their numbers. None where an encoder knows no words.
    Raises WeightsError as :meth:`Encoder.build` does."""
    if encoder.texts is None or not called:
        return None
    texts = texts_for(called, prompts)
    key = (encoder.digest, tuple(map(tuple, texts)), tuple(shown))
    if (known := _known.get(key)) is None:
        while len(_known) >= KEPT:
            _known.pop(next(iter(_known)))
        known = _known[key] = _in_words(encoder.texts(), texts, shown)
    return known


# Each round asks, and the tower for texts takes a second.
_known: dict[tuple[object, ...], Words] = {}


def _in_words(tower: Texts, texts: Sequence[Sequence[str]], shown: Sequence[int]) -> Words:
    every = tower.embed([text for of_class in texts for text in of_class])
    means = [part.mean(0) for part in torch.split(every, [len(one) for one in texts])]
    there = torch.zeros(len(texts), 1)
    there[[*shown]] = 1
    return Words(F.normalize(torch.stack(means), dim=1) * there, tower.scale)
