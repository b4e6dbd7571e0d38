"""Rows of the log as the rest of the program sees them; plain, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from al_core.store.annotations import now


@dataclass(frozen=True, slots=True)
class Known:
    """What somebody had read of an experiment when they chose or trained: it can be done again.

    The first so many of its ``annotations``, ``batches`` and ``rounds``, of which there only come
    more; at which places a batch was ``open``; and the settings that may change.
    """

    annotations: int
    batches: int
    rounds: int
    open: Sequence[int]
    strategy: str
    per_round: int


@dataclass(frozen=True, slots=True)
class ExperimentRecord:
    """An experiment as the log keeps it; ``config`` as plain values."""

    id: int
    name: str
    config: dict[str, Any]
    fingerprint: str
    pool_size: int
    created_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why each of the n images of a batch was chosen.

    ``pool`` images were compared; ``top`` ``[n][k]`` are the most likely classes with their
    probabilities, best first, None before there was a model; ``rank`` ``[n]`` is the place by
    score, 1 the best, None where the strategy has no score; ``nearest`` ``[n][k]`` are the labelled
    images most alike. ``by_pixels``: what is alike was told by the images themselves, since there
    were no features.
    """

    pool: int
    top: Sequence[Sequence[tuple[int, float]]] | None
    rank: Sequence[int | None] | None
    nearest: Sequence[Sequence[int]]
    by_pixels: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """The images that one person is asked about at once, best first.

    ``round`` is the first round that trains on their labels; ``model`` the round whose network
    chose them, None where they were chosen before there was one. ``scores`` is None where the
    strategy gives none. ``at_random`` are those of ``images`` that no strategy chose: they are
    drawn evenly from the whole pool to measure the model, and never trained on. ``handed_in_at`` is
    None while open. Whoever labels it holds a lease: ``holder`` names the browser tab,
    ``annotator`` the person, ``leased_until`` is when the lease lapses. ``known`` is what was read
    of the log to choose it, ``model_known`` what its model was made from.
    """

    round: int
    strategy: str
    images: Sequence[int]
    scores: Sequence[float | None] | None
    model: int | None = None
    at_random: Sequence[int] | None = None
    reasons: Reasons | None = None
    known: Known | None = None
    model_known: Known | None = None
    holder: str | None = None
    annotator: str | None = None
    leased_until: datetime | None = None
    id: int = 0
    created_at: datetime | None = None
    handed_in_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """What one round's training gave.

    ``metrics`` as in :class:`al_core.models.metrics.Metrics`, None where nothing could be measured;
    their ``on`` is "test" for the test set, "random" for the batches' random images. ``history``
    has ``[epoch, loss, accuracy]`` for each epoch; times are in seconds. Of this round's labels
    ``compared`` had a guess of the model, made before they were given, and ``disagreed`` differ
    from it; ``guesses_shown``: the person saw some of the guesses first. ``known`` is what it was
    made from; the logits of its model are best divided by ``temperature``. ``computed_on``: the
    device, dtype, threads and torch that another run would need to give the same to the last bit.
    """

    round: int
    labeled: int
    metrics: dict[str, Any] | None
    history: list[list[float]]
    train_seconds: float
    evaluate_seconds: float
    score_seconds: float
    select_seconds: float
    images_scored: int
    compared: int = 0
    disagreed: int = 0
    guesses_shown: bool = False
    known: Known | None = None
    temperature: float | None = None
    computed_on: str | None = None
    created_at: datetime = field(default_factory=now)
