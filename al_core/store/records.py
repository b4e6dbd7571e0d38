"""Rows of the log as the rest of the program sees them; plain, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from al_core.errors import ConfigError
from al_core.names import checked

TRUTH = "truth"  # the annotator of labels that came with the images


def annotator_name(given: str) -> str:
    """``given`` with single spaces; raises ConfigError where it names nobody, cannot be shown, or
    stands for the labels that came with the images."""
    name = checked("An annotator", given)
    if name == TRUTH:
        raise ConfigError(f"“{TRUTH}” stands for the labels that came with the images.")
    return name


def now() -> datetime:
    """The time an annotation carries, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one annotator said of one image, once; never changed, only followed by another.

    ``image`` is a position in the training set; ``label`` a class index, or None for a skip.
    ``cleared`` takes back what was said before, and the image is open again. ``key`` is the
    image's own name. ``event`` names the event in the browser this came from, so that the same
    event sent twice is kept once; ``milliseconds`` is how long the person looked. ``undoes`` marks
    the row that puts back what was said before the annotator's last act on this image.
    ``guess_shown``: the model's guess stood beside the image before it was answered.

    ``round`` is the first round that trains on it.
    """

    image: int
    label: int | None
    round: int
    annotator: str
    created_at: datetime = field(default_factory=now)
    cleared: bool = False
    key: str = ""
    event: str | None = None
    milliseconds: int | None = None
    undoes: bool = False
    guess_shown: bool = False


def what_stands(annotations: Iterable[Annotation]) -> dict[int, list[Annotation]]:
    """What was said of each image and not undone, the last word last.

    An undo takes away the last thing that its annotator said of the image, so that what somebody
    else has said stays theirs.
    """
    standing: dict[int, list[Annotation]] = {}
    for annotation in annotations:
        said = standing.setdefault(annotation.image, [])
        if not annotation.undoes:
            said.append(annotation)
            continue
        for place in range(len(said) - 1, -1, -1):
            if said[place].annotator == annotation.annotator:
                del said[place]
                break
    return standing


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How much of an experiment's log had been read when a batch was chosen or a model trained, so
    that it can be done again.

    That is how many of its ``annotations``, ``batches`` and ``rounds``, which only ever grow; the
    places at which a batch was ``open``; and the settings that may change.
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
    ``annotator`` the person, ``leased_until`` is when the lease lapses. ``log_position`` is
    how much of the log was read to choose it, ``model_position`` how much its model was made from.
    """

    round: int
    strategy: str
    images: Sequence[int]
    scores: Sequence[float | None] | None
    model: int | None = None
    at_random: Sequence[int] | None = None
    reasons: Reasons | None = None
    log_position: LogPosition | None = None
    model_position: LogPosition | None = None
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
    from it; ``guesses_shown``: the person saw some of the guesses first. ``log_position`` is what
    it was made from; its model's logits are best divided by ``temperature``. ``computed_on``: the
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
    log_position: LogPosition | None = None
    temperature: float = 1.0
    computed_on: str = ""
    created_at: datetime = field(default_factory=now)
