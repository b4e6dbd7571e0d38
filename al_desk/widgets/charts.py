"""Tables in, Altair charts out; pure functions, colours from the page's theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt
import pandas as pd

from al_core.models.metrics import class_recall, wilson_interval
from al_core.store.records import RoundRecord

HEIGHT, HIGH = 320, 600
LETTERS = 60  # that fit side by side below a chart
# Ten that can be told apart on a light page and on a dark one; everything else is grey.
COLOURS = [
    "#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b",
    "#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#6a6fd6",
]  # fmt: skip
GREY = "#8c8c8c"
Layers = alt.LayerChart | alt.FacetChart  # as altair types a chart of layers
STATES = ("Unlabelled", "Labelled", "Chosen")  # of an image on the map


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """What is drawn beside a curve: the forecast ``ahead`` from
    :func:`al_desk.results.stopping.advise`, ``baseline`` from
    :func:`al_desk.results.random_baseline.random_baseline`, and the ``floor``, the commonest class
    and its share; ``words``, the share of class names alone; ``changes`` of the classes,
    ``labeled, words``: the first round with others."""

    ahead: pd.DataFrame | None = None
    baseline: pd.DataFrame | None = None
    floor: tuple[str, float] | None = None
    words: float | None = None
    changes: pd.DataFrame | None = None


def accuracy_curve(table: pd.DataFrame, title: str, beside: Beside) -> Layers:
    """A measure, ``title``, against labelled images, with the 95% band. ``table`` has a row a
    round: ``round, labeled, share, low, high, images``."""
    ahead, baseline = beside.ahead, beside.baseline
    x = _along_labels(table["labeled"].tolist() if ahead is None else [])
    y = alt.Y("share:Q", title=title, axis=alt.Axis(format="%"),
              scale=alt.Scale(zero=False, nice=False, padding=10))  # fmt: skip
    base = alt.Chart(table).encode(x=x, tooltip=[_ROUND, *_measured("share", title)])
    band = base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    # Thin bars: a rule would be black, on a dark page too.
    whiskers = base.mark_bar(size=1.5, opacity=0.5).encode(y="low:Q", y2="high:Q")
    line = base.mark_line(strokeWidth=2, point={"size": 80, "opacity": 1}).encode(y=y)
    layers = [band, whiskers, line]
    if baseline is not None:
        tooltip = [
            alt.Tooltip("labeled:Q", title="Random labels", format=","),
            alt.Tooltip("share:Q", title=title, format=".1%"),
        ]
        points = {"size": 50, "opacity": 1, "color": GREY}
        grey = alt.Chart(baseline).mark_line(strokeWidth=2, color=GREY, point=points)
        layers.insert(0, grey.encode(x=x, y=y, tooltip=tooltip))
    if ahead is not None:
        fit = alt.Chart(ahead).encode(x=x)
        layers += [
            fit.mark_area(opacity=0.1).encode(y="low:Q", y2="high:Q"),
            fit.mark_line(strokeWidth=2, strokeDash=[5, 5]).encode(y=y),
        ]
    levels = []
    if beside.floor is not None:
        name, share = beside.floor
        levels.append((f"Always {name}", share, [2, 3]))
    if beside.words is not None:
        levels.append(("By the class names alone", beside.words, [8, 4]))
    for words, share, dash in levels:
        row = {"share": share, "words": f"{words}: {share:.1%}"}
        at = alt.Chart(pd.DataFrame([row])).encode(y=y)
        low = at.mark_text(align="left", baseline="top", dx=6, dy=4, color=GREY)
        layers += [
            at.mark_rule(strokeWidth=1.5, strokeDash=dash, color=GREY),
            low.encode(x=alt.value(0), text="words:N"),
        ]
    if beside.changes is not None:
        told = alt.Tooltip("words:N", title="Classes changed")
        at = alt.Chart(beside.changes).encode(x=x, tooltip=[told])
        mark = at.mark_point(shape="triangle-down", size=90, filled=True, color=GREY, opacity=1)
        layers += [
            at.mark_rule(strokeWidth=1.5, strokeDash=[6, 3], color=GREY),
            mark.encode(y=alt.value(4)),
        ]
    return alt.layer(*layers).properties(height=HEIGHT)


_ROUND = alt.Tooltip("round:Q", title="Round")


def _measured(column: str, title: str) -> list[alt.Tooltip]:
    """The tooltip of a measured share."""
    return [
        alt.Tooltip("labeled:Q", title="Labelled", format=","),
        alt.Tooltip(f"{column}:Q", title=title, format=".1%"),
        alt.Tooltip("low:Q", title="95% interval, from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
        alt.Tooltip("images:Q", title="Measured on", format=","),
    ]


def _along_labels(rounds: Sequence[int]) -> alt.X:
    """Labelled images along the chart, with a tick for each of ``rounds`` if there are few."""
    ticks: dict[str, Any] = {"values": rounds} if 0 < len(rounds) <= 15 else {"tickCount": 6}
    scale = alt.Scale(zero=False, nice=False, padding=20)
    axis = alt.Axis(format=",d", **ticks)
    return alt.X("labeled:Q", title="Labelled images", axis=axis, scale=scale)


def recall_table(rounds: Sequence[RoundRecord], names: Mapping[int, str]) -> pd.DataFrame:
    """A row for each of the classes that are so called, by their numbers, of each measured round:
    ``recall`` on ``images`` images with its 95% Wilson interval from ``low`` to ``high``, and its
    ``change`` since the round before."""
    rows = []
    for record in rounds:
        if record.metrics is None:
            continue
        confusion = record.metrics["confusion"]
        recalls = class_recall(confusion)
        for k, name in names.items():
            count = sum(confusion[k])
            interval = wilson_interval(confusion[k][k], count)
            rows.append((record.round, record.labeled, name, recalls[k], *interval, count))
    columns = ["round", "labeled", "class", "recall", "low", "high", "images"]
    table = pd.DataFrame(rows, columns=columns)
    table["change"] = table.groupby("class", sort=False)["recall"].diff()
    return table


def recall_curves(table: pd.DataFrame, lit: Sequence[str]) -> Layers:
    """Recall against labelled images, a line for each class; ``table`` is from recall_table.
    Classes that are ``lit`` have their intervals, the others stay grey in the background."""
    base = alt.Chart().encode(
        x=_along_labels(table["labeled"].unique().tolist()),
        y=alt.Y("recall:Q", title="Recall", axis=alt.Axis(format="%")),
        detail="class:N",
        tooltip=[alt.Tooltip("class:N", title="Class"), *_measured("recall", "Recall"), _ROUND],
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
        (grey.mark_line(strokeWidth=1, opacity=0.4, point={"size": 30, "opacity": 0.5}), behind),
        (bright.mark_bar(size=1.5, opacity=0.4).encode(y="low:Q", y2="high:Q"), front),
        (bright.mark_line(strokeWidth=2.5, point={"size": 80, "opacity": 1}), front),
    ]
    # The browser complains about a layer without data, which has no extent.
    filled = [layer.properties(data=data) for layer, data in layers if not data.empty]
    return alt.layer(*filled).properties(height=HEIGHT)


def encoders_chart(table: pd.DataFrame, title: str) -> Layers:
    """A dot with its 95% interval for each encoder, the first on top. ``table``:
    ``encoder, share, low, high, images``."""
    ends = [max(table["low"].min() - 0.03, 0), min(table["high"].max() + 0.03, 1)]
    scale, axis = alt.Scale(domain=ends, nice=False), alt.Axis(format="%", tickCount=6)
    low, share = (alt.X(f"{x}:Q", title=title, axis=axis, scale=scale) for x in ("low", "share"))
    order, names = table["encoder"].tolist(), alt.Axis(labelLimit=240)
    base = alt.Chart(table).encode(
        y=alt.Y("encoder:N", title=None, sort=order, axis=names),
        tooltip=[alt.Tooltip("encoder:N", title="Encoder"), *_measured("share", title)[1:]],
    )
    # Thin bars, as in a curve: a rule would be black, on a dark page too.
    whiskers = base.mark_bar(size=2, opacity=0.5).encode(x=low, x2="high:Q")
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x=share)
    return alt.layer(whiskers, dots).properties(height=36 * len(table) + 70)


def training_curve(
    history: Sequence[Sequence[float | None]],
    column: Literal["loss", "accuracy"],
    epochs: float,
    title: str,
) -> alt.Chart:
    """A training so far; rows of ``history`` are epoch, loss, and accuracy, which may be None."""
    table = pd.DataFrame(list(history), columns=["epoch", "loss", "accuracy"])
    table = table.dropna(subset=column)
    axis, number = (alt.Axis(), ".3f") if column == "loss" else (alt.Axis(format="%"), ".1%")
    chart: alt.Chart = alt.Chart(table).mark_line(strokeWidth=2, point=len(table) == 1)
    chart = chart.encode(
        x=alt.X("epoch:Q", title="Epoch", scale=alt.Scale(domain=[0, epochs], nice=False)),
        y=alt.Y(f"{column}:Q", title=title, axis=axis, scale=alt.Scale(zero=False)),
        tooltip=[
            alt.Tooltip("epoch:Q", title="Epoch", format=".1f"),
            alt.Tooltip(f"{column}:Q", title=column.capitalize(), format=number),
        ],
    )
    return chart.properties(height=180)


def confusion_heatmap(confusion: Sequence[Sequence[int]], class_names: Sequence[str]) -> Layers:
    """How many images of each class, the rows, got which prediction. A click selects a
    ``cell``."""
    rows = [
        (class_names[t], class_names[p], count, count / max(sum(row), 1))
        for t, row in enumerate(confusion)
        for p, count in enumerate(row)
    ]
    cells = pd.DataFrame(rows, columns=["truth", "prediction", "images", "share"])
    order = list(class_names)
    many = len(order) > 20
    is_short = len(order) * max(map(len, order)) <= LETTERS
    base = alt.Chart(cells).encode(
        x=alt.X("prediction:N", title="Prediction", sort=order,
                axis=alt.Axis(labelAngle=0 if is_short else -40, labelOverlap=many)),
        y=alt.Y("truth:N", title="Truth", sort=order, axis=alt.Axis(labelOverlap=many)),
        tooltip=[
            "truth:N",
            "prediction:N",
            alt.Tooltip("images:Q", format=","),
            alt.Tooltip("share:Q", format=".1%", title="share of the truth"),
        ],
    )  # fmt: skip
    # By opacity, so that an empty cell has the page's own background, light or dark.
    heat = base.mark_rect(color="#2a6fbb").encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)
    )
    heat = heat.add_params(alt.selection_point(name="cell", fields=["truth", "prediction"]))
    if many:
        return alt.layer(heat).properties(height=HIGH)
    text = base.mark_text(fontSize=12).encode(
        text="images:Q",
        color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("#808080")),
    )
    return alt.layer(heat, text).properties(height=max(HEIGHT, 36 * len(order)))


def reliability_diagram(reliability: Sequence[Sequence[float]]) -> Layers:
    """How often predictions were right against how sure they were: a point for each bin of the
    calibration error, from its images, mean confidence and hits, with a 95% Wilson interval."""
    rows = [
        (images, sure, hits / images, *wilson_interval(int(hits), int(images)))
        for images, sure, hits in reliability
    ]
    table = pd.DataFrame(rows, columns=["images", "confidence", "right", "low", "high"])
    share: dict[str, Any] = {"scale": alt.Scale(domain=[0, 1]), "axis": alt.Axis(format="%")}
    x = alt.X("confidence:Q", title="Confidence", **share)
    base = alt.Chart(table).encode(
        x=x,
        tooltip=[
            alt.Tooltip("images:Q", title="Images", format=","),
            alt.Tooltip("confidence:Q", title="Mean confidence", format=".1%"),
            *_measured("right", "Right")[1:-1],
        ],
    )
    line = alt.Chart(pd.DataFrame({"confidence": [0, 1], "right": [0, 1]}))
    return alt.layer(
        line.mark_line(color=GREY, strokeDash=[5, 5]).encode(x=x, y="right:Q"),
        base.mark_bar(size=1.5, opacity=0.5).encode(y=alt.Y("low:Q", **share), y2="high:Q"),
        base.mark_point(filled=True, opacity=1).encode(
            y=alt.Y("right:Q", title="Right", **share),
            size=alt.Size("images:Q", legend=None, scale=alt.Scale(range=[30, 200])),
        ),
    ).properties(height=HEIGHT)


def pool_scatter(points: pd.DataFrame, by: str, colour: alt.Color, outline: str) -> alt.Chart:
    """The map of the pool: columns ``x``, ``y``, ``image``, ``state`` and ``colour``, which shows
    ``by``; the most important rows last. ``outline`` is a colour that stands out from the page.
    Dragging over the map selects a ``brush``."""
    legend = alt.Legend(title=None, orient="top", symbolFillColor=GREY, symbolStrokeColor=outline)
    chart: alt.Chart = alt.Chart(points).mark_point(filled=True, stroke=outline)
    flat: dict[str, Any] = {"axis": None, "scale": alt.Scale(nice=False, zero=False, padding=8)}

    def by_state(channel: type, *values: float | str) -> Any:
        kind = "nominal" if channel is alt.Shape else "ordinal"  # as the browser wants them
        scale = alt.Scale(domain=STATES, range=values)
        return channel("state", type=kind, scale=scale, legend=legend)

    chart = chart.encode(
        x=alt.X("x:Q", **flat),
        y=alt.Y("y:Q", **flat),
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
    return chart.add_params(alt.selection_interval(name="brush")).properties(height=HIGH)
