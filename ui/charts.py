"""Tables in, Altair charts out; pure functions, colours from the page's theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import altair as alt
import pandas as pd

from al_core.schema import RoundRecord

HEIGHT = 320


def rounds_table(rounds: Sequence[RoundRecord]) -> pd.DataFrame:
    """One row a round; accuracies as shares, missing where there is no test set."""
    rows = []
    for record in rounds:
        metrics = record.metrics or {}
        low, high = metrics.get("interval", (None, None))
        rows.append({
            "round": record.round,
            "labeled": record.labeled,
            "accuracy": metrics.get("accuracy"),
            "low": low,
            "high": high,
            "nll": metrics.get("nll"),
            "ece": metrics.get("ece"),
            "disagreement": record.disagreed / record.compared if record.compared else None,
            "guesses_shown": record.guesses_shown,
            "train_seconds": record.train_seconds,
            "evaluate_seconds": record.evaluate_seconds,
            "score_seconds": record.score_seconds,
            "select_seconds": record.select_seconds,
            "images_scored": record.images_scored,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    if not table.empty:
        table.insert(3, "change", table["accuracy"].astype(float).diff())
    return table


def accuracy_curve(table: pd.DataFrame) -> alt.LayerChart:
    """Test accuracy against labelled images, with the 95% band; ``table`` from rounds_table."""
    counts = table["labeled"].tolist()
    axis = alt.Axis(values=counts if len(counts) <= 15 else alt.Undefined, format=",d")
    x = alt.X(
        "labeled:Q",
        title="Labelled images",
        axis=axis,
        scale=alt.Scale(zero=False, nice=False, padding=20),
    )
    y = alt.Y("accuracy:Q", title="Test accuracy", axis=alt.Axis(format="%"),
              scale=alt.Scale(zero=False, padding=10))  # fmt: skip
    base = alt.Chart(table).encode(
        x=x,
        tooltip=[
            alt.Tooltip("round:Q", title="Round"),
            alt.Tooltip("labeled:Q", title="Labelled", format=","),
            alt.Tooltip("accuracy:Q", title="Test accuracy", format=".1%"),
            alt.Tooltip("low:Q", title="95% interval, from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
        ],
    )
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", title="Test accuracy"), y2="high:Q")
    whiskers = base.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=y)
    points = base.mark_circle(size=80, opacity=1).encode(y=y)
    return alt.layer(band, whiskers, line, points).properties(height=HEIGHT)


def training_curve(
    history: Sequence[Sequence[float]], column: Literal["loss", "accuracy"], epochs: float
) -> alt.Chart:
    """A training on the labelled images so far; ``history`` rows are epoch, loss, accuracy."""
    table = pd.DataFrame(list(history), columns=["epoch", "loss", "accuracy"])
    axis, number = (alt.Axis(), ".3f") if column == "loss" else (alt.Axis(format="%"), ".1%")
    return (
        alt.Chart(table)
        .mark_line(strokeWidth=2, point=len(table) == 1)
        .encode(
            x=alt.X("epoch:Q", title="Epoch", scale=alt.Scale(domain=[0, epochs], nice=False)),
            y=alt.Y(f"{column}:Q", title=f"Training {column}", axis=axis),
            tooltip=[
                alt.Tooltip("epoch:Q", title="Epoch", format=".1f"),
                alt.Tooltip(f"{column}:Q", title=column.capitalize(), format=number),
            ],
        )
        .properties(height=180)
    )


def confusion_heatmap(
    confusion: Sequence[Sequence[int]], class_names: Sequence[str]
) -> alt.LayerChart:
    """What the model said against the truth, counts; rows are the truth."""
    cells = pd.DataFrame(
        [
            {
                "truth": class_names[t],
                "said": class_names[s],
                "images": count,
                "share": count / max(sum(row), 1),
            }
            for t, row in enumerate(confusion)
            for s, count in enumerate(row)
        ]
    )
    order = list(class_names)
    base = alt.Chart(cells).encode(
        x=alt.X("said:N", title="The model said", sort=order, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y("truth:N", title="Truth", sort=order),
        tooltip=[
            "truth:N",
            "said:N",
            alt.Tooltip("images:Q", format=","),
            alt.Tooltip("share:Q", format=".1%", title="share of the truth"),
        ],
    )
    # By opacity, so that nothing is the background's colour, in the dark as in the light.
    heat = base.mark_rect(color="#2a6fbb").encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)
    )
    if len(order) > 20:
        return alt.layer(heat).properties(height=24 * len(order))
    text = base.mark_text(fontSize=12).encode(
        text="images:Q",
        color=alt.condition("datum.share > 0.3", alt.value("white"), alt.value("#808080")),
    )
    return alt.layer(heat, text).properties(height=max(HEIGHT, 36 * len(order)))
