"""What the accuracies of an experiment were measured on, in words."""

from __future__ import annotations

from al_core.curves import TITLES, measured_on
from al_core.experiment import Experiment
from ui.charts import measured_images


def accuracy_name(experiment: Experiment) -> str:
    """What kind of accuracy the rounds have."""
    return TITLES[measured_on(experiment).kind]


def measured_in_words(experiment: Experiment, every_round: bool = False) -> str:
    """What the last round was measured on, or each, in a sentence or two."""
    counts = [count for count in map(measured_images, experiment.rounds) if count]
    first, last = counts[0], counts[-1]
    if measured_on(experiment).kind == "test":
        return f"Measured on {last:,} test images; the model never trains on them."
    count = f"{first:,} to {last:,}" if every_round and first != last else f"{last:,}"
    sentence = (
        f"Measured on {count} images drawn at random from the whole pool and labelled by people; "
        "the model never trains on them."
    )
    skipped = len(experiment.at_random.intersection(experiment.pool.skipped.tolist()))
    if skipped:
        more = "1 more was" if skipped == 1 else f"{skipped:,} more were"
        return f"{sentence} {more} skipped: if the hard ones are, the accuracy is too high."
    return f"{sentence} So it is an unbiased estimate."


def why_no_accuracy(experiment: Experiment) -> str:
    """What has to come before there is one."""
    if not experiment.rounds:
        return "Known after the first training."
    if experiment.config.random_share:
        return "Known once images drawn at random, a share of each batch, have been labelled."
    return (
        "These images have no test set whose truth is known, and no share of each batch is drawn "
        "at random, so no accuracy can be measured."
    )
