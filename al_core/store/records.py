"""Rows of the log as the rest of the program sees them: plain dataclasses, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from al_core.errors import ConfigError
from al_core.names import checked

TRUTH = "truth"  # the annotator of labels that came with the images


def annotator_name(given: str) -> str:
    """``given`` with single spaces; raises ConfigError where it is empty, cannot be shown, or
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
    """One annotator's answer for one image; never changed, only followed by another.

    ``image`` is a position in the training set; ``label`` a class index, or None for a skip.
    ``round`` is the first round that trains on it. ``cleared`` takes back the earlier answer, and
    the image is open again. ``key`` is the image's own name. ``event`` names the browser event that
    this came from, so that an event sent twice is kept once; ``milliseconds`` is how long the
    person looked. ``undoes`` marks a row that restores the answer from before the annotator's last
    act on this image. ``guess_shown``: the model's prediction was shown before the answer.
    ``reason``: why an image was skipped, one of REASONS, if somebody said so.
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
    reason: str | None = None


# Why an answer is cleared that there was none of: it is not of the class that was offered for it.
TAKEN_OUT = "taken out"
REASONS = ("unsure", "none of these", "bad picture")  # why an image is skipped


def what_stands(annotations: Iterable[Annotation]) -> dict[int, list[Annotation]]:
    """The annotations of each image that were not undone, the latest last.

    An undo removes the last annotation by the same annotator, so other people's answers stay.
    """
    standing: dict[int, list[Annotation]] = {}
    for annotation in annotations:
        of_image = standing.setdefault(annotation.image, [])
        if not annotation.undoes:
            of_image.append(annotation)
            continue
        for place in range(len(of_image) - 1, -1, -1):
            if of_image[place].annotator == annotation.annotator:
                del of_image[place]
                break
    return standing


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How much of an experiment's log had been read when a batch was chosen or a model trained, so
    that it can be replayed.

    That is the number of its ``annotations``, ``batches`` and ``rounds``, which only ever grow; the
    places of the batches that were ``open``; of the ``settings`` in force, those that may change,
    as plain values; and the numbers of rows of the manifest, ``images``, and of changes of the
    ``classes``, which only grow too. The former is 0 before it was written: then the pool is the
    one the experiment began with. ``embedded``: how many images, in the order in which the pool is
    embedded, had been by then; None for all. ``acceptances`` only grow as well.
    """

    annotations: int
    batches: int
    rounds: int
    open: Sequence[int]
    settings: Mapping[str, Any]
    images: int = 0
    classes: int = 0
    embedded: int | None = None
    acceptances: int = 0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A class given at once to images that nobody looked at one by one, or an undo of that; never
    changed, only followed.

    ``images`` are positions in the pool. The model of round ``model`` found ``label`` the likeliest
    class of each, with at least the probability ``threshold``. ``undoes``: the place of the
    acceptance that an undo takes back; -1 for none. ``event`` as of an annotation. ``keys`` are the
    images' own names, where no manifest has them.
    """

    images: Sequence[int]
    label: int
    model: int
    threshold: float
    annotator: str
    undoes: int = -1
    event: str | None = None
    created_at: datetime = field(default_factory=now)
    keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ClassChange:
    """One change of an experiment's classes, or an undo of one; never changed, only followed.

    ``kind``: "add", "rename", "key", "order", "merge", "split", "retire", "undo", or "truth": a
    test image is of this class. ``classes`` are the numbers of those that it is about: of a merge
    the first is what the others become. ``names``: the new name, the key or "", or those of the
    classes that come, which get the next numbers. ``undoes``: the place of the change that an undo
    takes back. ``image``: the position of the test image.
    """

    kind: str
    classes: Sequence[int] = ()
    names: Sequence[str] = ()
    undoes: int = -1
    image: int = -1
    annotator: str = ""
    created_at: datetime = field(default_factory=now)


# The splits of an image: in the pool; in the test set of the source, or drawn from it by us.
POOL, TEST, DRAWN = "train", "test", "drawn"
# Its states: in the source; not there; with another picture under its name, which may be the same
# picture changed, or another one; in the pool, and drawn later to measure with; in the list of the
# source, and not read yet.
HERE, MISSING, CHANGED, MEASURES, LISTED = "here", "missing", "changed", "measures", "listed"


@dataclass(frozen=True, slots=True)
class ImageRow:
    """What became known of one image of an experiment; never changed, only followed by another.

    ``position`` counts the images of the pool or, in the other splits, those of the test set.
    ``key`` is its name in the source, and ``other_names`` those of further files with the same
    picture. ``digest`` identifies its file, and ``shows`` what all of it shows, both as hexadecimal
    digits, "" where they are not known; ``width`` and ``height`` are in pixels. ``label`` is the
    class that its source gave it when it came, whatever folder it lies in by now; "" for none.
    ``stamp`` is the size and time that the list had of its file; "" once its digest is known.
    """

    split: str
    position: int
    key: str
    other_names: Sequence[str] = ()
    digest: str = ""
    shows: str = ""
    width: int = 0
    height: int = 0
    state: str = HERE
    label: str = ""
    created_at: datetime = field(default_factory=now)
    stamp: str = ""

    @property
    def place(self) -> tuple[bool, int]:
        """Whether it is in the pool, and its position: what a later row of it has in common."""
        return self.split == POOL, self.position


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
    deleted_by: str | None = None


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why each of the n images of a batch was chosen.

    ``pool`` images were compared; ``top`` ``[n][k]`` are the most likely classes with their
    probabilities, best first, None while nothing told one from another; ``rank`` ``[n]`` is the
    place by score, 1 the best, None where the strategy has no score; ``nearest`` ``[n][k]`` are the
    most similar labelled images. ``by_pixels``: similarity was judged by pixels, for lack of
    features.
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
    chose them, None before there was one. ``scores`` is None where the strategy gives none.
    ``held_out`` are those among ``images``, which no strategy chose: drawn evenly from the whole
    pool to measure the model, and never trained on. ``audits`` are those that were accepted without
    a look, drawn when the batch was handed out, at the place ``drawn_at`` of the log: after so many
    acceptances and changes of classes; they have neither score nor reason. ``handed_in_at`` is None
    while open. Whoever labels the batch holds a lease: ``holder`` names the browser tab,
    ``annotator`` the person, ``leased_until`` is when it lapses. ``log_position`` is how much of
    the log was read to choose the batch, ``model_position`` how much to train its model.
    """

    round: int
    strategy: str
    images: Sequence[int]
    scores: Sequence[float | None] | None
    model: int | None = None
    held_out: Sequence[int] | None = None
    reasons: Reasons | None = None
    log_position: LogPosition | None = None
    model_position: LogPosition | None = None
    holder: str | None = None
    annotator: str | None = None
    leased_until: datetime | None = None
    id: int = 0
    created_at: datetime | None = None
    handed_in_at: datetime | None = None
    audits: Sequence[int] | None = None
    drawn_at: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class FirstRows:
    """What the log of an experiment begins with: labels that came with the images, the batch that a
    person is asked about first, and the manifest."""

    annotations: Iterable[Annotation] = ()
    batch: Batch | None = None
    images: Sequence[ImageRow] = ()


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """The result of one round's training.

    ``metrics`` as in :class:`al_core.models.metrics.Metrics`, None where nothing could be measured;
    their ``on`` is "test" for the test set, "random" for the batches' held-out images. ``history``
    has ``[epoch, loss, accuracy]`` for each epoch; times are in seconds. Of this round's labels
    ``compared`` had a prediction made before they were given, and ``disagreed`` differ from it;
    ``guesses_shown``: the person saw some of the predictions first. ``log_position`` is what it was
    trained from. Its logits were divided by ``temperature``, found by ``calibrated_by``:
    cross-validation of a head, a hold-out of its labels, or that of an earlier round (older logs
    have its last batch). ``computed_on``: the device, dtype, threads and torch version that another
    run needs to be identical to the last bit.
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
    calibrated_by: str | None = None
    created_at: datetime = field(default_factory=now)
