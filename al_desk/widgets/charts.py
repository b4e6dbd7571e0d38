"""Tables in, Altair charts out; pure functions, colours from the page's theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import pandas as pd

from al_core.models.metrics import class_recall, wilson_interval
from al_core.store.records import RoundRecord

HEIGHT, HIGH = 320, 600
LETTERS = 60  # that stand side by side below a chart
# Ten that are told apart on a light page and on a dark one; everything else is grey.
COLOURS = [
    "#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b",
    "#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#6a6fd6",
]  # fmt: skip
GREY = "#8c8c8c"
STATES = ("Unlabelled", "Labelled", "Chosen")  # of an image on the map
Layered = alt.LayerChart | alt.FacetChart  # as altair has it


def accuracy_curve(
    table: pd.DataFrame,
    title: str,
    ahead: pd.DataFrame | None = None,
    at_random: pd.DataFrame | None = None,
) -> Layered:
    """Accuracy against labelled images, with the 95% band; ``table`` from rounds_table, where it
    leads from :func:`al_desk.results.stopping.advise`, as many random labels from
    :func:`al_desk.results.random_baseline.random_labels`."""
    x = _along_labels(table["labeled"].tolist() if ahead is None else [])
    y = alt.Y("accuracy:Q", title=title, axis=alt.Axis(format="%"),
              scale=alt.Scale(zero=False, nice=False, padding=10))  # fmt: skip
    base = alt.Chart(table).encode(
        x=x,
        tooltip=[
            alt.Tooltip("round:Q", title="Round"),
            alt.Tooltip("labeled:Q", title="Labelled", format=","),
            alt.Tooltip("accuracy:Q", title=title, format=".1%"),
            alt.Tooltip("low:Q", title="95% interval, from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            alt.Tooltip("images:Q", title="Measured on", format=","),
        ],
    )
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    # Thin bars: a rule would be black, in the dark as well.
    whiskers = base.mark_bar(size=1.5, opacity=0.5).encode(y="low:Q", y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=y)
    points = base.mark_circle(size=80, opacity=1).encode(y=y)
    layers = [band, whiskers, line, points]
    if at_random is not None:
        grey = alt.Chart(at_random).encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("labeled:Q", title="Random labels", format=","),
                alt.Tooltip("accuracy:Q", title=title, format=".1%"),
            ],
        )
        layers[:0] = [
            grey.mark_line(strokeWidth=2, color=GREY),
            grey.mark_circle(size=50, opacity=1, color=GREY),
        ]
    if ahead is not None:
        fit = alt.Chart(ahead).encode(x=x)
        layers += [
            fit.mark_area(opacity=0.1).encode(y="low:Q", y2="high:Q"),
            fit.mark_line(strokeWidth=2, strokeDash=[5, 5]).encode(y=y),
        ]
    return alt.layer(*layers).properties(height=HEIGHT)


def _along_labels(rounds: Sequence[int]) -> alt.X:
    """Labelled images along the chart, with a tick at each of ``rounds`` where they are few."""
    ticks = {"values": rounds} if 0 < len(rounds) <= 15 else {"tickCount": 6}
    return alt.X(
        "labeled:Q",
        title="Labelled images",
        axis=alt.Axis(format=",d", **ticks),
        scale=alt.Scale(zero=False, nice=False, padding=20),
    )


def recall_table(rounds: Sequence[RoundRecord], class_names: Sequence[str]) -> pd.DataFrame:
    """A row for each class of each round that was measured: ``recall`` on so many ``images`` with
    its 95% Wilson interval ``low`` to ``high``; ``change`` is since the round before."""
    rows = [
        (record.round, record.labeled, name, share, *wilson_interval(said[k], sum(said)), sum(said))
        for record in rounds
        if record.metrics is not None
        for k, (name, share, said) in enumerate(
            zip(
                class_names,
                class_recall(record.metrics["confusion"]),
                record.metrics["confusion"],
                strict=True,
            )
        )
    ]
    columns = ["round", "labeled", "class", "recall", "low", "high", "images"]
    table = pd.DataFrame(rows, columns=columns)
    table["change"] = table.groupby("class", sort=False)["recall"].diff()
    return table


def recall_curves(table: pd.DataFrame, lit: Sequence[str]) -> Layered:
    """Recall against labelled images, a line for each class; ``table`` from recall_table. Classes
    that are ``lit`` have their intervals, the others stay grey in the back."""
    base = alt.Chart().encode(
        x=_along_labels(table["labeled"].unique().tolist()),
        y=alt.Y("recall:Q", title="Recall", axis=alt.Axis(format="%")),
        detail="class:N",
        tooltip=[
            alt.Tooltip("class:N", title="Class"),
            alt.Tooltip("recall:Q", title="Recall", format=".1%"),
            alt.Tooltip("low:Q", title="95% interval, from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            alt.Tooltip("images:Q", title="Measured on", format=","),
            alt.Tooltip("labeled:Q", title="Labelled", format=","),
            alt.Tooltip("round:Q", title="Round"),
        ],
    )
    grey = base.encode(color=alt.value(GREY))
    bright = base.encode(
        color=alt.Color(
            "class:N",
            sort=list(lit),
            scale=alt.Scale(domain=list(lit), range=COLOURS),
            legend=alt.Legend(title=None, orient="right", symbolOpacity=1),
        )
    )
    behind, front = table[~table["class"].isin(lit)], table[table["class"].isin(lit)]
    layers = [
        (grey.mark_line(strokeWidth=1, opacity=0.4), behind),
        (grey.mark_circle(size=30, opacity=0.5), behind),
        (bright.mark_bar(size=1.5, opacity=0.4).encode(y="low:Q", y2="high:Q"), front),
        (bright.mark_line(strokeWidth=2.5), front),
        (bright.mark_circle(size=80, opacity=1), front),
    ]
    # A layer without data has no extent, and the browser complains of it.
    filled = [layer.properties(data=data) for layer, data in layers if not data.empty]
    return alt.layer(*filled).properties(height=HEIGHT)


def training_curve(
    history: Sequence[Sequence[float | None]],
    column: Literal["loss", "accuracy"],
    epochs: float,
    title: str,
) -> alt.Chart:
    """A training so far; ``history`` rows are epoch, loss, accuracy, of which the latter may be
    None."""
    table = pd.DataFrame(list(history), columns=["epoch", "loss", "accuracy"])
    table = table.dropna(subset=column)
    axis, number = (alt.Axis(), ".3f") if column == "loss" else (alt.Axis(format="%"), ".1%")
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_line(strokeWidth=2, point=len(table) == 1)
        .encode(
            x=alt.X("epoch:Q", title="Epoch", scale=alt.Scale(domain=[0, epochs], nice=False)),
            y=alt.Y(f"{column}:Q", title=title, axis=axis, scale=alt.Scale(zero=False)),
            tooltip=[
                alt.Tooltip("epoch:Q", title="Epoch", format=".1f"),
                alt.Tooltip(f"{column}:Q", title=column.capitalize(), format=number),
            ],
        )
        .properties(height=180)
    )
    return chart


def confusion_heatmap(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> Layered:
    """What the model said against the truth, counts; rows are the truth. A click selects a
    ``cell``."""
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
    many = len(order) > 20
    is_short = len(order) * max(map(len, order)) <= LETTERS
    base = alt.Chart(cells).encode(
        x=alt.X("said:N", title="The model said", sort=order,
                axis=alt.Axis(labelAngle=0 if is_short else -40, labelOverlap=many)),
        y=alt.Y("truth:N", title="Truth", sort=order, axis=alt.Axis(labelOverlap=many)),
        tooltip=[
            "truth:N",
            "said:N",
            alt.Tooltip("images:Q", format=","),
            alt.Tooltip("share:Q", format=".1%", title="share of the truth"),
        ],
    )  # fmt: skip
    # By opacity, so that nothing is the background's colour, in the dark as in the light.
    heat = base.mark_rect(color="#2a6fbb").encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)
    )
    heat = heat.add_params(alt.selection_point(name="cell", fields=["truth", "said"]))
    if many:
        return alt.layer(heat).properties(height=HIGH)
    text = base.mark_text(fontSize=12).encode(
        text="images:Q",
        color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("#808080")),
    )
    return alt.layer(heat, text).properties(height=max(HEIGHT, 36 * len(order)))


def pool_scatter(points: pd.DataFrame, by: str, colour: alt.Color, outline: str) -> alt.Chart:
    """The map of the pool: columns ``x``, ``y``, ``image``, ``state`` and ``colour``, which shows
    ``by``; the most important rows last. ``outline`` stands out from the page. Dragging over the
    map selects, as ``brush``."""
    legend = alt.Legend(title=None, orient="top", symbolFillColor=GREY, symbolStrokeColor=outline)
    mark = alt.Chart(points).mark_point(filled=True, stroke=outline)
    scale = alt.Scale(nice=False, zero=False, padding=8)

    def by_state(channel: type, *values: float | str) -> Any:
        kind = "nominal" if channel is alt.Shape else "ordinal"  # as the browser wants them
        scale = alt.Scale(domain=STATES, range=values)
        return channel("state", type=kind, scale=scale, legend=legend)

    chart: alt.Chart = (
        mark.encode(
            x=alt.X("x:Q", axis=None, scale=scale),
            y=alt.Y("y:Q", axis=None, scale=scale),
            color=colour,
            shape=by_state(alt.Shape, "circle", "circle", "diamond"),
            size=by_state(alt.Size, 14, 50, 160),
            opacity=by_state(alt.Opacity, 0.55, 1, 1),
            strokeWidth=by_state(alt.StrokeWidth, 0, 0.8, 1.4),
            tooltip=[
                alt.Tooltip("image:Q", title="Image", format=","),
                alt.Tooltip("state:N", title="State"),
                alt.Tooltip("colour", title=by),
            ],
        )
        .add_params(alt.selection_interval(name="brush"))
        .properties(height=HIGH)
    )
    return chart
