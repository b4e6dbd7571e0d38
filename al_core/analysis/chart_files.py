"""Learning curves as a chart, for the page and for files; whoever draws it picks the colours."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import altair as alt
import pandas as pd

from al_core.errors import ConfigError
from al_core.files.atomic import whole_path

HEIGHT = 320  # pixels
FORMATS: dict[str, Literal["svg", "png"]] = {".svg": "svg", ".png": "png"}


def curves_chart(table: pd.DataFrame, x_title: str, title: str = "Test accuracy") -> alt.LayerChart:
    """Mean accuracy, titled ``title``, with its 95% band, and a colour and a shape for each name.

    ``table`` comes from :func:`al_core.analysis.curves.bands`; missing bands, and those of two
    seeds, are not drawn.
    """
    names = table["name"].unique().tolist()
    legend = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=340, symbolSize=90)
    scale = alt.Scale(domain=names, scheme="tableau10")  # distinct in light and dark themes
    base = alt.Chart(table).encode(
        x=alt.X(
            "x:Q",
            title=x_title,
            axis=alt.Axis(format="~s" if table["x"].max() >= 10_000 else ",~f", tickCount=6),
            scale=alt.Scale(zero=False, nice=False, padding=12),
        ),
        color=alt.Color("name:N", scale=scale, legend=legend),
        tooltip=[
            alt.Tooltip("name:N", title="Curve"),
            alt.Tooltip("x:Q", title=x_title, format=",.4~r"),
            alt.Tooltip("mean:Q", title=title, format=".1%"),
            alt.Tooltip("low:Q", title="95% interval, from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            alt.Tooltip("seeds:Q", title="Seeds"),
        ],
    )
    y = alt.Y(
        "mean:Q",
        title=title,
        axis=alt.Axis(format="~%"),
        scale=alt.Scale(zero=False, nice=False, padding=10),  # no tick above 100%
    )
    layers = [base.mark_line(strokeWidth=2).encode(y=y)]
    # By shape as well, for whoever cannot tell the colours apart.
    shape = alt.Shape("name:N", scale=alt.Scale(domain=names), legend=legend)
    layers.append(base.mark_point(size=45, filled=True, opacity=1).encode(y=y, shape=shape))
    # The band of two seeds is many times as high as the curves and would hide everything. A layer
    # without data has no extent, and the browser complains about that.
    if (table["low"].notna() & (table["seeds"] != 2)).any():
        known = base.transform_filter("isValid(datum.low) && datum.seeds != 2")
        band = known.mark_area(fillOpacity=0.15)
        layers.insert(0, band.encode(y=alt.Y("low:Q", title=title), y2="high:Q"))
    # Streamlit would fit all into the height, and a long legend would leave the curves no room.
    size = alt.AutoSizeParams(type="fit-x", contains="padding")
    return alt.LayerChart(layer=layers, height=HEIGHT, autosize=size)


def save_chart(chart: alt.LayerChart, path: Path) -> None:
    """Write a chart as SVG or PNG, by the suffix of ``path``.

    Raises ConfigError for any other suffix, and FileNotWritten.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"A chart is written as {' or '.join(FORMATS)}, not as {path.name}.")
    with whole_path(path) as half:
        chart.properties(width=480).save(half, FORMATS[path.suffix.lower()], scale_factor=2)
