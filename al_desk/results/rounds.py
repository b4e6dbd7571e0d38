"""The rounds of an experiment as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from al_core.experiment.experiment import Experiment
from al_core.models.metrics import MEASURES, Estimate, estimate
from al_core.store.records import RoundRecord
from al_desk.results.measures import INTERVALS, measured_images
from al_desk.widgets.formatting import number_column


def show_rounds(experiment: Experiment) -> None:
    """All that is known of each round; of its settings, what changed."""
    table = rounds_table(experiment.rounds)
    shares = [f"{name}{part}" for name in MEASURES for part in ("", "_change", "_low", "_high")]
    shares += ["ece", "disagreement"]
    table[shares] = 100 * table[shares].astype(float)
    changes = _changes(experiment.rounds)
    if any(changes):
        table["settings"] = changes
    st.dataframe(table, hide_index=True, placeholder="–", column_config=_COLUMNS)


def _changes(rounds: Sequence[RoundRecord]) -> list[str]:
    """For each round, the settings that differ from those of the round before, in words."""
    used = [_flat(record.log_position.settings) if record.log_position else {} for record in rounds]
    changes = [""]
    for before, now in pairwise(used):
        changed = [name for name in now if name in before and now[name] != before[name]]
        changes.append(", ".join(f"{name.replace('_', ' ')} {now[name]}" for name in changed))
    return changes[: len(rounds)]


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def rounds_table(rounds: Sequence[RoundRecord]) -> pd.DataFrame:
    """One row a round; each measure as a share, missing where there is no test set, with its
    ``change`` since the round before, and its interval from ``low`` to ``high``."""
    rows = []
    for record in rounds:
        metrics = record.metrics or {}
        measures: dict[str, float | None] = {}
        for measure in MEASURES:
            one = estimate(metrics, measure) if metrics else Estimate(np.nan, np.nan, np.nan)
            measures |= {measure: one.value, f"{measure}_low": one.low, f"{measure}_high": one.high}
        rows.append({
            "round": record.round,
            "labeled": record.labeled,
            **measures,
            "images": measured_images(record),
            "nll": metrics.get("nll"),
            "ece": metrics.get("ece"),
            "temperature": record.temperature,
            "calibrated_by": record.calibrated_by,
            "disagreement": record.disagreed / record.compared if record.compared else None,
            "guesses_shown": record.guesses_shown,
            "power": metrics.get("power"),
            "train_seconds": record.train_seconds,
            "evaluate_seconds": record.evaluate_seconds,
            "score_seconds": record.score_seconds,
            "select_seconds": record.select_seconds,
            "images_scored": record.images_scored,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    if not table.empty:
        for measure in MEASURES:
            at = [*table.columns].index(measure) + 1
            table.insert(at, f"{measure}_change", table[measure].diff())
    return table


_COLUMNS = {
    "round": number_column("Round", "%d"),
    "labeled": number_column("Labelled", "localized"),
    **{
        f"{measure}{part}": number_column(f"{title}{words}", form, note)
        for measure, title in MEASURES.items()
        for part, words, form, note in (
            ("", "", "%.1f%%", "On the test images, else on held-out ones."),
            ("_change", ", change", "%+.1f", "Since the round before, in points."),
            ("_low", ", 95% from", "%.1f%%", INTERVALS[measure]),
            ("_high", ", 95% to", "%.1f%%", INTERVALS[measure]),
        )
    },
    "images": number_column("Measured on", "localized", "Images the accuracy was measured on."),
    "nll": number_column(
        "NLL", "%.3f", "Mean negative log-likelihood on the same images, in nats."
    ),
    "ece": number_column("ECE", "%.1f%%", "Expected calibration error, 15 bins."),
    "temperature": number_column("Temperature", "%.2f", "What the logits were divided by."),
    "calibrated_by": st.column_config.TextColumn(
        "Calibrated by", help="How the temperature was found; never by the test images."
    ),
    "disagreement": number_column(
        "Disagreement", "%.0f%%", "Labels of this round that differ from the model's guess."
    ),
    "guesses_shown": st.column_config.CheckboxColumn(
        "Guesses shown", help="Whether a guess was visible before its label was given."
    ),
    "power": number_column(
        "Class weights", "%.1f", "The power of the inverse number of labels that weighted a class."
    ),
    "train_seconds": number_column("Training", "%.1f s"),
    "evaluate_seconds": number_column("Evaluating", "%.1f s"),
    "score_seconds": number_column("Scoring", "%.1f s"),
    "select_seconds": number_column("Choosing", "%.2f s"),
    "settings": st.column_config.TextColumn(
        "Settings changed", help="Since the round before; each round's log says all of them."
    ),
    "images_scored": number_column("Images scored", "localized", "The whole unlabelled pool."),
}
