"""What annotators said of images, one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

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
