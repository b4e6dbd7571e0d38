"""What has happened in an experiment while somebody was away."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from al_core.experiment.experiment import Experiment
from al_core.store.records import RoundRecord


@dataclass(frozen=True, slots=True)
class Since:
    """What followed an annotator's last act, at ``at``: how many images ``others`` have answered,
    by name, and the ``rounds`` trained."""

    at: datetime
    others: dict[str, int]
    rounds: tuple[RoundRecord, ...]


def since(experiment: Experiment, annotator: str) -> Since | None:
    """What has happened since ``annotator``'s last answer; None for a newcomer."""
    own = [a.created_at for a in experiment.annotations if a.annotator == annotator]
    if not own:
        return None
    at = max(own)
    later = {
        (a.annotator, a.image)
        for a in experiment.annotations
        if a.annotator != annotator and a.created_at > at
    }
    return Since(
        at,
        dict(Counter(name for name, _ in later).most_common()),
        tuple(record for record in experiment.rounds if record.created_at > at),
    )
