"""When to stop: what the last labels gained, and how many more a target would take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from al_core.analysis.classes import gaps_of, some
from al_core.analysis.stopping import (
    FLAT_ROUNDS,
    Fit,
    Gain,
    correlation,
    fit_curve,
    flat_in_words,
    forecast,
    forecast_in_words,
    gain_between,
    gain_in_words,
    is_flat,
    trained_alike,
)
from al_core.experiment.experiment import Experiment
from al_core.images.dataset import Dataset
from al_core.loop.measured_anew import seen_by
from al_core.models.metrics import Measure, effective_images, estimate, within
from al_core.store.records import RoundRecord
from al_desk.widgets.formatting import plain


def advise(
    experiment: Experiment, dataset: Dataset | None, measure: Measure
) -> pd.DataFrame | None:
    """Show what is known of a measure so far, in sentences.

    Returns the fitted curve, ``labeled, share, low, high``, as far ahead as it can be trusted; None
    while a class has no label or is never recognised, for such a curve is flat until one is found.
    """
    rounds = _known(experiment, measure)
    last = last_gain(experiment, dataset, measure)
    if last is None:
        return None
    rises = last.low > 0
    st.markdown(f":material/{'trending_up' if rises else 'trending_flat'}: {gain_in_words(last)}")
    gaps = gaps_of(experiment)
    if gaps.forbid_verdicts:
        missing = plain(some([*gaps.unlabelled, *gaps.unrecognised]))
        st.markdown(
            ":material/visibility_off: Nobody can tell whether this curve is flat, or where it "
            f"leads, while classes have no label or are never recognised: {missing}."
        )
        return None
    of_three = _gain(experiment, dataset, rounds[-1 - FLAT_ROUNDS :: FLAT_ROUNDS], measure)
    if of_three is not None and is_flat(of_three):
        st.markdown(f":material/flag: {flat_in_words(of_three)}")
        return None
    metrics = [record.metrics or {} for record in rounds]
    estimates = [estimate(measured, measure) for measured in metrics]
    fit = fit_curve(
        [record.labeled for record in rounds],
        [one.value for one in estimates],
        [effective_images(measured, measure) for measured in metrics],
    )
    if fit is None:
        return None
    return _look_ahead(fit, rounds[0].labeled, estimates[-1].value, experiment, measure)


def last_gain(experiment: Experiment, dataset: Dataset | None, measure: Measure) -> Gain | None:
    """What the labels of the last round have gained; None before two rounds were measured since the
    settings of the training last changed."""
    return _gain(experiment, dataset, _known(experiment, measure)[-2:], measure)


def _known(experiment: Experiment, measure: Measure) -> list[RoundRecord]:
    """The rounds that were measured, as far back as the model was trained in the same way."""
    return [
        record
        for record in trained_alike(experiment.rounds)
        if record.metrics and not math.isnan(estimate(record.metrics, measure).value)
    ]


def _look_ahead(
    fit: Fit, fewest: int, accuracy: float, experiment: Experiment, measure: Measure
) -> pd.DataFrame:
    nearest = next_target(accuracy)
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    target = left.number_input(
        f"Target {within(measure)}, %",
        min_value=0.0,
        max_value=100.0,
        value=nearest,
        step=1.0,
        format="%g",
        key=f"target-{experiment.id}-{measure}-{nearest}",
    )
    reached = forecast(fit, target / 100)
    if target / 100 <= accuracy:
        right.markdown("That is reached.")
    elif reached is None:
        right.markdown("The curve so far cannot tell when that will be reached.")
    else:
        right.markdown(forecast_in_words(reached, len(experiment.left)))
    # For a target that is reached already, or out of sight, the curve leads to the nearest one.
    ahead = reached or forecast(fit, nearest / 100)
    labels = np.linspace(fewest, fit.labeled + (ahead.high if ahead else 0), 100)
    mean, low, high = fit.at(labels)
    return pd.DataFrame({"labeled": labels, "share": mean, "low": low, "high": high})


def next_target(accuracy: float) -> float:
    """The next multiple of 5% above ``accuracy``, in percent; above 95% the next whole percent."""
    step = 5 if accuracy < 0.95 else 1
    return min(100.0, float(step * (int(100 * accuracy + 1e-9) // step + 1)))


def _gain(
    experiment: Experiment, dataset: Dataset | None, rounds: Sequence[RoundRecord], measure: Measure
) -> Gain | None:
    """From the first of two ``rounds`` to the second; None where there are not two. Accuracies are
    paired by image where both predictions are on disk; a mean over classes has the interval for
    independent ones, which is wider."""
    if len(rounds) < 2:
        return None
    if measure != "accuracy":
        return gain_between(rounds[0], rounds[1], measure=measure)
    right = [_right(experiment, record.round, dataset) for record in rounds]
    shared = correlation(*right) if len({*map(len, right)}) == 1 and len(right[0]) else 0.0
    return gain_between(rounds[0], rounds[1], shared)


def _right(experiment: Experiment, number: int, dataset: Dataset | None) -> NDArray[np.bool_]:
    """Which test images round ``number`` predicted correctly; none where that is lost."""
    seen = seen_by(experiment, number, dataset) if dataset is not None else None
    if seen is None or seen.on != "test":
        return np.zeros(0, np.bool_)
    right: NDArray[np.bool_] = seen.known.probs.argmax(1) == seen.known.targets
    return right
