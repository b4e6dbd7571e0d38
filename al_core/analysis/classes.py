"""Classes that a figure hides: those without a label, never recognised, or not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_core.experiment.experiment import Experiment
from al_core.models.metrics import MEASURABLE, class_recall, images_by_class

NAMED = 5  # classes that a sentence names; the others are counted


@dataclass(frozen=True, slots=True)
class Gaps:
    """The names of the classes without a label; of those with labels that the last round has never
    recognised; and of those that its images cannot measure."""

    unlabelled: tuple[str, ...]
    unrecognised: tuple[str, ...]
    unmeasured: tuple[str, ...]

    @property
    def forbid_verdicts(self) -> bool:
        """Whether a curve that looks flat may only have missed a class."""
        return bool(self.unlabelled or self.unrecognised)


def gaps_of(experiment: Experiment) -> Gaps:
    """What the labels so far and the last measured round leave out."""
    shown = [*experiment.classes.shown]
    names = np.array(experiment.config.class_names)[shown]
    counts = np.bincount(experiment.trained_on.labels, minlength=len(experiment.classes.names))
    labels = counts[shown] > 0
    unlabelled = names[~labels]
    metrics = next((one.metrics for one in reversed(experiment.rounds) if one.metrics), None)
    if metrics is None:
        return Gaps(tuple(unlabelled), (), ())
    measured = images_by_class(metrics)[shown] >= MEASURABLE
    missed = measured & labels & (class_recall(metrics["confusion"])[shown] == 0)
    return Gaps(tuple(unlabelled), tuple(names[missed]), tuple(names[~measured]))


def gaps_in_words(gaps: Gaps) -> list[str]:
    """A sentence for each kind of gap there is."""
    found = []
    if gaps.unlabelled:
        found.append(f"No label yet: {some(gaps.unlabelled)}.")
    if gaps.unrecognised:
        found.append(f"Never recognised: {some(gaps.unrecognised)}.")
    if gaps.unmeasured:
        found.append(
            f"Too few images to measure, so not in balanced accuracy and macro F1: "
            f"{some(gaps.unmeasured)}."
        )
    return found


def unmeasured_in_words(names: Sequence[str], classes: int) -> str:
    """Which of the ``classes`` of a source its test images will not measure, in a sentence."""
    if len(names) == classes:
        return (
            "No class has two images to test with, so balanced accuracy and macro F1 cannot be "
            "measured."
        )
    return (
        f"Too few images to test with, so these classes are trained on and not measured: "
        f"{some(names)}."
    )


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
